"""Layers, losses, metrics and initialisers: pure functions on arrays, described by frozen dataclasses."""

from daskpar.nn.check_layer import check_layer
from daskpar.nn.check_loss import check_loss
from daskpar.nn.functions import FunctionLoss, FunctionMetric
from daskpar.nn.layer import Context, Layer
from daskpar.nn.layers.activations import GELU, ReLU, Sigmoid, SiLU, Tanh
from daskpar.nn.layers.attention import MultiHeadAttention
from daskpar.nn.layers.augment import Cutout, Normalise, RandomCrop, RandomFlip, RandomShift
from daskpar.nn.layers.batch_norm import BatchNorm
from daskpar.nn.layers.conv1d import Conv1d
from daskpar.nn.layers.conv_transpose import ConvTranspose2d
from daskpar.nn.layers.convolution import Conv2d
from daskpar.nn.layers.dense import Dense
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.layers.embed_columns import EmbedColumns
from daskpar.nn.layers.embedding import Embedding
from daskpar.nn.layers.flatten import Flatten, Reshape
from daskpar.nn.layers.global_pool import GlobalAvgPool
from daskpar.nn.layers.group_norm import GroupNorm
from daskpar.nn.layers.gru import GRU
from daskpar.nn.layers.layer_norm import LayerNorm
from daskpar.nn.layers.learned_positions import LearnedPositions
from daskpar.nn.layers.lstm import LSTM
from daskpar.nn.layers.masking import Masking
from daskpar.nn.layers.pad import Crop, Pad
from daskpar.nn.layers.pooling import AvgPool, MaxPool
from daskpar.nn.layers.rms_norm import RMSNorm
from daskpar.nn.layers.sequential import Repeat, Residual, Sequential
from daskpar.nn.layers.simple_rnn import SimpleRNN
from daskpar.nn.layers.spatial_dropout import SpatialDropout
from daskpar.nn.layers.tied_embedding import TiedEmbedding
from daskpar.nn.layers.transformer import FeedForward, TransformerBlock
from daskpar.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from daskpar.nn.metrics import (
    AUC,
    F1,
    R2,
    RMSE,
    Accuracy,
    Confusion,
    LogLoss,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopK,
)
from daskpar.nn.parameters import ParameterTable

__all__ = [
    "AUC",
    "F1",
    "GELU",
    "GRU",
    "LSTM",
    "R2",
    "RMSE",
    "Accuracy",
    "AvgPool",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Confusion",
    "Context",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Crop",
    "Cutout",
    "Dense",
    "Dropout",
    "EmbedColumns",
    "Embedding",
    "FeedForward",
    "Flatten",
    "FunctionLoss",
    "FunctionMetric",
    "GlobalAvgPool",
    "GroupNorm",
    "Huber",
    "Layer",
    "LayerNorm",
    "LearnedPositions",
    "LogLoss",
    "Loss",
    "Masking",
    "MaxPool",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "MultiHeadAttention",
    "Normalise",
    "Pad",
    "ParameterTable",
    "Perplexity",
    "Precision",
    "RMSNorm",
    "RandomCrop",
    "RandomFlip",
    "RandomShift",
    "ReLU",
    "Recall",
    "Repeat",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "SoftmaxCrossEntropy",
    "SpatialDropout",
    "Tanh",
    "TiedEmbedding",
    "TopK",
    "TransformerBlock",
    "check_layer",
    "check_loss",
]
