"""Layers, losses, metrics and initialisers: pure functions on arrays, described by frozen dataclasses."""

from daskpar.nn.activations import GELU, ReLU, Sigmoid, SiLU, Tanh
from daskpar.nn.attention import MultiHeadAttention
from daskpar.nn.augment import Cutout, Normalise, RandomCrop, RandomFlip, RandomShift
from daskpar.nn.batch_norm import BatchNorm
from daskpar.nn.convolution import Conv1d, Conv2d, ConvTranspose2d
from daskpar.nn.dense import Dense
from daskpar.nn.dropout import Dropout
from daskpar.nn.embedding import Embedding, LearnedPositions, TiedEmbedding
from daskpar.nn.flatten import Flatten, Reshape
from daskpar.nn.global_pool import GlobalAvgPool
from daskpar.nn.group_norm import GroupNorm
from daskpar.nn.gru import GRU
from daskpar.nn.layer import Context, Layer
from daskpar.nn.layer_norm import LayerNorm
from daskpar.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from daskpar.nn.lstm import LSTM
from daskpar.nn.masking import Masking
from daskpar.nn.metrics import R2, RMSE, Accuracy, Confusion, Metric, TopK
from daskpar.nn.pad import Crop, Pad
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.pooling import AvgPool, MaxPool
from daskpar.nn.rms_norm import RMSNorm
from daskpar.nn.sequential import Repeat, Residual, Sequential
from daskpar.nn.simple_rnn import SimpleRNN
from daskpar.nn.spatial_dropout import SpatialDropout
from daskpar.nn.transformer import FeedForward, TransformerBlock

__all__ = [
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
    "Embedding",
    "FeedForward",
    "Flatten",
    "GlobalAvgPool",
    "GroupNorm",
    "Huber",
    "Layer",
    "LayerNorm",
    "LearnedPositions",
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
    "RMSNorm",
    "RandomCrop",
    "RandomFlip",
    "RandomShift",
    "ReLU",
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
]
