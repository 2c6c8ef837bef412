"""Layers, losses and metrics by the names that configs use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daskpar.errors import InputError, shown
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
from daskpar.nn.layer import Layer
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
from daskpar.nn.pooling import AvgPool, MaxPool
from daskpar.nn.rms_norm import RMSNorm
from daskpar.nn.sequential import Repeat, Residual, Sequential, count_layers, require_buildable
from daskpar.nn.simple_rnn import SimpleRNN
from daskpar.nn.spatial_dropout import SpatialDropout
from daskpar.nn.transformer import FeedForward, TransformerBlock
from daskpar.registry import Table, named

_DENSE = (Dense, ReLU, Tanh, Sigmoid, GELU, SiLU, Dropout, SpatialDropout, Flatten, Reshape)
_IMAGES = (Conv1d, Conv2d, ConvTranspose2d, MaxPool, AvgPool, GlobalAvgPool, Pad, Crop)
_NORMS = (BatchNorm, LayerNorm, GroupNorm, RMSNorm)
_SEQUENCES = (SimpleRNN, LSTM, GRU, Masking, Embedding, TiedEmbedding, LearnedPositions)
_ATTENTION = (MultiHeadAttention, FeedForward, TransformerBlock)
_AUGMENTATION = (RandomFlip, RandomShift, RandomCrop, Cutout, Normalise)
_CONTAINERS = (Residual, Sequential, Repeat)

LAYERS: Table = {
    layer.kind: layer
    for family in (_DENSE, _IMAGES, _NORMS, _SEQUENCES, _ATTENTION, _AUGMENTATION, _CONTAINERS)
    for layer in family
}
LOSSES: Table = {
    loss.kind: loss
    for loss in (SoftmaxCrossEntropy, BinaryCrossEntropy, MeanSquaredError, MeanAbsoluteError, Huber)
}
METRICS: Table = {metric.kind: metric for metric in (Accuracy, TopK, RMSE, R2, Confusion)}


def layer(entry: Any) -> Layer:
    """A layer from a config's entry, e.g. `{"dense": 10}`."""
    return named("layer", LAYERS, entry)


def model(entries: Any) -> Sequential:
    """A model from a list of entries; a Sequential is returned as it is.

    Raises InputError for what is unknown or wrong, and for more than `MOST_LAYERS` layers.
    """
    if isinstance(entries, Sequential):
        return entries
    if isinstance(entries, str | Mapping | Layer) or not isinstance(entries, Iterable):
        raise InputError(f"model={shown(entries, 80)}: expected a list of layers")
    layers = []
    for i, entry in enumerate(entries):
        try:
            layers.append(layer(entry))
        except InputError as error:
            told = str(error) if "layer '" in str(error) else f"layer {i}: {error}"
            raise InputError(told) from None
    built = Sequential(tuple(layers))
    require_buildable(count_layers(built) - 1)
    return built


def loss(entry: Any) -> Loss:
    return named("loss", LOSSES, entry)


def metric(entry: Any) -> Metric:
    return named("metric", METRICS, entry)
