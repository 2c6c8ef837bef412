"""Functions as losses and metrics: `Trainer(model, loss=pinball, metrics=[mean_error])`.

They travel to workers by value if they were defined in the main program or a notebook, else by the name of
their module, which the workers then need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, is_dataclass
from typing import Any, ClassVar, TypeGuard

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError, shown
from daskpar.nn.loss import Loss, by_rows, total_weight
from daskpar.nn.metrics import Metric, Sums

Function = Callable[[Array, Array], Any]


def is_function(entry: object) -> TypeGuard[Function]:
    """Tell whether an entry is a function, or another callable that is no block and no class."""
    return callable(entry) and not isinstance(entry, type) and not is_dataclass(entry)


def named_function(entry: object) -> tuple[str, Function] | None:
    """The name and the function of an entry `{name: function}`; None for any other."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, function),) = entry.items()
        if isinstance(name, str) and is_function(function):
            return name, function
    return None


def _called(function: Function, otherwise: str) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return otherwise if name == "<lambda>" else name


def _shape_of(value: object) -> str:
    """The shape of an array, or a value that is none, for messages."""
    shape = getattr(value, "shape", None)
    return shown(value, 80) if shape is None else str(shape)


@dataclass(frozen=True)
class FunctionLoss(Loss):
    """A loss by a function: `function(outputs, targets) -> (losses, gradient)`.

    `outputs` (rows, ...) are in the precision of the run. `targets` are in the shape and precision of the
    outputs; for the task "classes" they are whole numbers (rows, ...), or probabilities. `losses` (rows,)
    holds the loss of each row. `gradient`, shaped like the outputs, is that of the sum of the losses. `task`:
    see `Loss`. Raises InputError where the function returns anything else.

    >>> def pinball(outputs, targets):
    ...     error = targets - outputs
    ...     slope = np.where(error > 0, 0.9, -0.1)
    ...     return (slope * error).sum(axis=1), -slope
    >>> import numpy as np
    >>> FunctionLoss(pinball)(np.zeros((2, 1)), np.array([1.0, -1.0]))
    (1.0, 2.0, array([[-0.9],
           [ 0.1]]))
    """

    function: Function
    _: KW_ONLY
    task: str = "numbers"  # type: ignore[misc]

    @property
    def kind(self) -> str:  # type: ignore[override]
        return _called(self.function, "loss")

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp, rows = array_module(outputs), outputs.shape[0]
        if self.task != "classes":
            targets = targets.reshape(outputs.shape).astype(outputs.dtype, copy=False)
        made = self.function(outputs, targets)
        if not isinstance(made, tuple) or len(made) != 2:
            raise InputError(
                f"loss {self.kind}: expected (losses of the rows, gradient with respect to the outputs), "
                f"got {shown(made, 80)}"
            )
        losses, gradient = made
        for name, array, shape in (("losses", losses, (rows,)), ("gradient", gradient, outputs.shape)):
            if getattr(array, "shape", None) != shape:
                told = f"loss {self.kind}: for outputs of shape {outputs.shape}"
                raise InputError(f"{told} expected {name} of shape {shape}, got {_shape_of(array)}")
        gradient = xp.ascontiguousarray(gradient, dtype=outputs.dtype)
        if weights is None:
            return float(losses.sum()), float(rows), gradient
        return float((losses * weights).sum()), total_weight(weights), gradient * by_rows(weights, gradient)


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """A metric by a function: `function(outputs, targets) -> values` (rows,), of which the mean is reported.

    `outputs` (rows, ...) are as the model returns them, for a classifier before softmax or sigmoid; numbers
    are in the units of y. `targets` have the shape of the outputs, or are whole numbers (rows, ...) for
    classes. Its name is the function's; a lambda is given one, `{"largest": lambda outputs, targets: ...}`.
    Raises InputError where the function returns anything else.

    >>> def mean_error(outputs, targets):
    ...     return abs(outputs - targets).mean(axis=1)
    >>> import numpy as np
    >>> metric = FunctionMetric(mean_error, larger_is_better=False)
    >>> metric.name, metric.sums(np.zeros((2, 1)), np.array([1.0, -3.0]), Loss())
    ('mean_error', (4.0, 2.0))
    """

    kind: ClassVar[str] = "function"
    function: Function
    _: KW_ONLY
    larger_is_better: bool = True  # type: ignore[misc]

    @property
    def own_name(self) -> str:
        return _called(self.function, "metric")

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        if math.prod(targets.shape) == math.prod(outputs.shape):
            targets = targets.reshape(outputs.shape)
        values = self.function(outputs, targets)
        if getattr(values, "shape", None) != outputs.shape[:1]:
            raise InputError(
                f"metric {self.name}: for outputs of shape {outputs.shape} expected values of shape "
                f"{outputs.shape[:1]}, one a row, got {_shape_of(values)}"
            )
        if weights is None:
            return float(to_numpy(values).sum(dtype="float64")), float(len(values))
        return float(to_numpy(values * weights).sum(dtype="float64")), total_weight(weights)
