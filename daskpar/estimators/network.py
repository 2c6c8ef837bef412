"""The model, the loss and the optimizer that an estimator's parameters describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral

import numpy as np

from daskpar.backend.array import Array
from daskpar.nn import registry as nn
from daskpar.optim import registry as optim
from daskpar.optim.optimizer import Optimizer

_RECTIFIERS = ("relu", "gelu", "silu")  # whose layers begin with He's variance, others with Glorot's
_PREPARING = ("impute", "encode")
_LEARNING_RATE = 0.01  # of Adam
_SCIKIT_LEARN = {"identity": None, "logistic": "sigmoid"}  # other names of activations


def layers(hidden: object, activation: object, outputs: int) -> list[object]:
    """Return the layers of a network: hidden ones, and a dense one with so many `outputs`.

    `hidden`: widths of dense layers, each followed by the activation, and layers, which stay as they are.

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
    """Return whether hidden layers are given by their widths alone."""
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
    """Return the optimizer that an entry names, with this learning rate if there is one.

    None is Adam with a learning rate that suits small networks.

    >>> optimizer(None, None)
    Adam(lr=0.01)
    >>> optimizer("sgd", 0.1).lr
    0.1
    """
    built = optim.optimizer({"adam": _LEARNING_RATE} if entry is None else entry)
    return built if learning_rate is None else replace(built, lr=learning_rate)  # type: ignore[arg-type]


def prepares_columns(transforms: object) -> bool:
    """Return whether transforms are among these that take missing values, or columns of any kind.

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
    """Return the precision to compute in: that of the examples, as scikit-learn does.

    Floats and whole numbers of up to 16 bits are float32, others float64, by NumPy's rules of promotion.
    """
    dtype = getattr(x, "dtype", np.dtype(np.float64))
    return "float32" if np.result_type(dtype, np.float32) == np.float32 else "float64"
