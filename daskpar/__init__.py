"""daskpar: neural networks trained as Dask task graphs.

    from daskpar import Dense, Layout, ReLU, Trainer

    trainer = Trainer([Dense(64), ReLU(), Dense(10)], layout=Layout(data=2), epochs=5).fit(X, y)

Names are imported when they are first used, so that `import daskpar` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "daskpar.nn": (
        "Dense Dropout Flatten GELU ReLU Residual Sequential SiLU Sigmoid Tanh "
        "BinaryCrossEntropy Huber MeanAbsoluteError MeanSquaredError SoftmaxCrossEntropy "
        "Accuracy Confusion R2 RMSE TopK"
    ),
    "daskpar.optim": "Adagrad Adam AdamW Clip LAMB LARS Penalty RMSProp SGD",
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

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'daskpar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
