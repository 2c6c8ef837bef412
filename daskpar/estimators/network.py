"""Model, loss and optimizer from the parameters of an estimator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral

import numpy as np

from daskpar.backend.array import Array
from daskpar.nn import registry as nn
from daskpar.optim import registry as optim
from daskpar.optim.optimizer import Optimizer

_RECTIFIERS = ("relu", "gelu", "silu")  # their layers have He initialisation, others Glorot
_PREPARING = ("impute", "encode")
_LEARNING_RATE = 0.01  # of Adam
_SCIKIT_LEARN = {"identity": None, "logistic": "sigmoid"}  # other names of activations


def layers(hidden: object, activation: object, outputs: int) -> list[object]:
    """Return the layers of a network: the hidden layers, and a dense layer with `outputs` units.

    In `hidden`, an int is the width of a dense layer, followed by the activation. Other entries are kept.

    >>> layers((8, {"dropout": 0.1}), "relu", 3)[1:3]
    ['relu', {'dropout': 0.1}]
    """
    activation = _SCIKIT_LEARN.get(activation, activation) if isinstance(activation, str) else activation
    initialiser = "he" if activation in _RECTIFIERS else "glorot"
    network: list[object] = []
    for entry in _entries(hidden):
        if isinstance(entry, Integral):
            network.append(_dense(int(entry), initialiser))
            network += [] if activation is None else [activation]
        else:
            network.append(entry)
    return [*network, _dense(outputs, "glorot")]


def is_dense(hidden: object) -> bool:
    """Return whether all hidden layers are dense layers, given by their widths."""
    return all(isinstance(entry, Integral) for entry in _entries(hidden))


def _entries(hidden: object) -> list[object]:
    if isinstance(hidden, Integral | str | dict) or not isinstance(hidden, Iterable):
        return [hidden]
    return list(hidden)


def _dense(units: int, initialiser: str) -> dict[str, object]:
    return {"dense": {"units": units, "init_weight": initialiser}}


def task_of(loss: object) -> str:
    """Return the task of a loss: classes, labels or numbers."""
    return nn.loss(loss).task


def optimizer(entry: object, learning_rate: object) -> Optimizer:
    """Return the optimizer of an entry, with the learning rate replaced unless it is None.

    The entry None is Adam with a learning rate of 0.01, which suits small networks.

    >>> optimizer(None, None)
    Adam(lr=0.01)
    >>> optimizer("sgd", 0.1).lr
    0.1
    """
    built = optim.optimizer({"adam": _LEARNING_RATE} if entry is None else entry)
    return built if learning_rate is None else replace(built, lr=learning_rate)  # type: ignore[arg-type]


def prepares_columns(transforms: object) -> bool:
    """Return whether a transform accepts missing values or columns of any kind.

    >>> prepares_columns(["standardise"]), prepares_columns([{"impute": "mean"}])
    (False, True)
    """
    entries = transforms if isinstance(transforms, list | tuple) else ()
    return any(_name_of(entry) in _PREPARING for entry in entries)


def _name_of(entry: object) -> object:
    if isinstance(entry, Mapping):
        return next(iter(entry), None)
    return entry if isinstance(entry, str) else getattr(entry, "kind", None)


def precision_of(x: Array) -> str:
    """Return the precision of the examples, to compute in it as scikit-learn does.

    By NumPy's type promotion, float16, float32 and integers of up to 16 bits need float32. Others need
    float64.
    """
    dtype = getattr(x, "dtype", np.dtype(np.float64))
    return "float32" if np.result_type(dtype, np.float32) == np.float32 else "float64"
