"""Layers, losses, metrics and initialisers: pure functions on arrays, described by frozen dataclasses."""

from daskpar.nn.activations import GELU, ReLU, Sigmoid, SiLU, Tanh
from daskpar.nn.dense import Dense
from daskpar.nn.dropout import Dropout
from daskpar.nn.flatten import Flatten
from daskpar.nn.layer import Context, Layer
from daskpar.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from daskpar.nn.metrics import R2, RMSE, Accuracy, Confusion, Metric, TopK
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.sequential import Repeat, Residual, Sequential

__all__ = [
    "GELU",
    "R2",
    "RMSE",
    "Accuracy",
    "BinaryCrossEntropy",
    "Confusion",
    "Context",
    "Dense",
    "Dropout",
    "Flatten",
    "Huber",
    "Layer",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "ParameterTable",
    "ReLU",
    "Repeat",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "TopK",
]
