"""Layers, losses and metrics by the names that configs use."""

from __future__ import annotations

from typing import Any

from daskpar.nn.activations import GELU, ReLU, Sigmoid, SiLU, Tanh
from daskpar.nn.dense import Dense
from daskpar.nn.dropout import Dropout
from daskpar.nn.flatten import Flatten
from daskpar.nn.layer import Layer
from daskpar.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from daskpar.nn.metrics import R2, RMSE, Accuracy, Confusion, Metric, TopK
from daskpar.nn.sequential import Repeat, Residual, Sequential
from daskpar.registry import Table, named

LAYERS: Table = {
    layer.kind: layer
    for layer in (Dense, ReLU, Tanh, Sigmoid, GELU, SiLU, Dropout, Flatten, Repeat, Residual, Sequential)
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
    """A model from a list of entries; a Sequential is returned as it is."""
    if isinstance(entries, Sequential):
        return entries
    return Sequential(tuple(layer(entry) for entry in entries))


def loss(entry: Any) -> Loss:
    return named("loss", LOSSES, entry)


def metric(entry: Any) -> Metric:
    return named("metric", METRICS, entry)
