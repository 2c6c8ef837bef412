"""daskpar: neural networks trained as Dask task graphs.

    from daskpar import Dense, Layout, ReLU, Trainer

    trainer = Trainer([Dense(64), ReLU(), Dense(10)], layout=Layout(data=2), epochs=5).fit(X, y)

Every layer, loss, metric, optimizer, schedule and transform is here, and the contracts to derive one's own
from. Names are imported when they are first used, so that `import daskpar` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHOLE = ("daskpar.nn", "daskpar.optim")
"""Packages all of whose names are here."""
_HOMES = {
    "daskpar.nn.check_layer": "check_layer",
    "daskpar.nn.check_loss": "check_loss",
    "daskpar.data": "OneHot Scale Source Standardise",
    "daskpar.data.fitted": "Fitted Transform",
    "daskpar.layout.layout": "Layout",
    "daskpar.train": "Callback EarlyStopping Ensemble Trainer load",
    "daskpar.cluster": "open_client",
    "daskpar.train.learning_rate": "find_learning_rate",
    "daskpar.train.progress": "progress",
    "daskpar.estimators": "NeuralClassifier NeuralRegressor",
    "daskpar.errors": "InputError NotFiniteError",
    "daskpar.registry": "register",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def _names() -> list[str]:
    return sorted({*_HOME, *(name for home in _WHOLE for name in import_module(home).__all__)})


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _names()
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if not name[0].isupper():  # a module of ours, perhaps
        raise AttributeError(f"module 'daskpar' has no attribute {name!r}")
    for home in map(import_module, _WHOLE):
        if name in home.__all__:
            return getattr(home, name)
    meant = import_module("daskpar.registry").class_called(name)
    hint = f"; did you mean {meant!r}?" if meant else ""
    raise AttributeError(f"module 'daskpar' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return [*_names(), "__version__"]
