"""Functions as losses and metrics: `Trainer(model, loss=pinball, metrics=[mean_error])`.

A function that is defined in the main program or in a notebook is sent to the workers by value. Any other is
sent by name, so the workers must be able to import its module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, is_dataclass
from typing import Any, ClassVar, TypeGuard

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError, shown
from daskpar.nn.loss import Loss
from daskpar.nn.metrics import Metric, Sums
from daskpar.nn.weights import by_rows, total_weight

Function = Callable[[Array, Array], Any]


def is_function(entry: object) -> TypeGuard[Function]:
    """Return whether an entry is a function, or another callable that is neither a dataclass nor a class."""
    return callable(entry) and not isinstance(entry, type) and not is_dataclass(entry)


def named_function(entry: object) -> tuple[str, Function] | None:
    """Return the name and the function of an entry `{name: function}`; None for any other entry."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, function),) = entry.items()
        if isinstance(name, str) and is_function(function):
            return name, function
    return None


def _called(function: Function, otherwise: str) -> str:
    """Return the name of a function for messages; `otherwise` for a lambda."""
    name = getattr(function, "__name__", type(function).__name__)
    return otherwise if name == "<lambda>" else name


def _shape_of(value: object) -> str:
    """Return the shape of an array, or a value that is no array, for messages."""
    shape = getattr(value, "shape", None)
    return shown(value, 80) if shape is None else str(shape)


@dataclass(frozen=True)
class FunctionLoss(Loss):
    """Loss that is given by a function: `Trainer(model, loss=pinball)`.

    The function returns the loss of each example and the gradient of their sum:

        function(outputs, targets) -> (losses, gradient)

    Args:
        function: The function.
        task: Kind of the outputs: "numbers", "classes" or "labels", as for `Loss`. By keyword only.
            Default: "numbers".

    Shape:
        - Outputs: (rows, ...), before softmax or sigmoid, in the precision of the run.
        - Targets: Shape and precision of the outputs. For "classes": (rows, ...) integers, or probabilities
          of the shape of the outputs.
        - Losses: (rows,).
        - Gradient: Shape of the outputs.

    Raises:
        InputError: The function returns anything else. Raised when the Trainer tries it on two examples.

    Example:
        The pinball loss, whose minimum is the 90 % quantile:

        >>> import numpy as np
        >>> from daskpar import FunctionLoss
        >>> def pinball(outputs, targets):
        ...     error = targets - outputs
        ...     slope = np.where(error > 0, 0.9, -0.1)
        ...     return (slope * error).sum(axis=1), -slope
        >>> FunctionLoss(pinball)(np.zeros((2, 1)), np.array([1.0, -1.0]))
        (1.0, 2.0, array([[-0.9],
               [ 0.1]]))
    """

    function: Function
    _: KW_ONLY
    task: str = "numbers"  # type: ignore[misc]

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The name of the function."""
        return _called(self.function, "loss")

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp, rows = array_module(outputs), outputs.shape[0]
        if self.task != "classes":
            targets = targets.reshape(outputs.shape).astype(outputs.dtype, copy=False)
        result = self.function(outputs, targets)
        if not isinstance(result, tuple) or len(result) != 2:
            raise InputError(
                f"loss {self.kind}: expected (losses of the rows, gradient with respect to the outputs), "
                f"got {shown(result, 80)}"
            )
        losses, gradient = result
        for name, array, shape in (("losses", losses, (rows,)), ("gradient", gradient, outputs.shape)):
            if getattr(array, "shape", None) != shape:
                raise InputError(
                    f"loss {self.kind}: for outputs of shape {outputs.shape} expected {name} of shape "
                    f"{shape}, got {_shape_of(array)}"
                )
        gradient = xp.ascontiguousarray(gradient, dtype=outputs.dtype)
        if weights is None:
            return float(losses.sum()), float(rows), gradient
        return float((losses * weights).sum()), total_weight(weights), gradient * by_rows(weights, gradient)


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """Metric that is given by a function: `Trainer(..., metrics=[mean_error])`.

    The function returns the value of each example. The metric is their mean:

        function(outputs, targets) -> values

    A lambda needs a name: `metrics=[{"largest": lambda outputs, targets: outputs.max(axis=1)}]`.

    Args:
        function: The function.
        name: Name in results. By keyword only. Default: the name of the function.
        larger_is_better: True if larger values are better, for early stopping and the best checkpoint. By
            keyword only. Default: True.

    Shape:
        - Outputs: (rows, ...), for a classifier before softmax or sigmoid. Numbers are in the units of `y`.
        - Targets: Shape of the outputs, or (rows, ...) integers for classes.
        - Values: (rows,).

    Raises:
        InputError: The function returns anything else. Raised when the Trainer tries it on two examples.

    Example:
        The sum of the values, the number of examples, and their quotient:

        >>> import numpy as np
        >>> from daskpar import FunctionMetric
        >>> def mean_error(outputs, targets):
        ...     return abs(outputs - targets).mean(axis=1)
        >>> metric = FunctionMetric(mean_error, larger_is_better=False)
        >>> sums = metric.sums(np.zeros((2, 1)), np.array([1.0, -3.0]), Loss())
        >>> metric.name, sums, metric.value(sums)
        ('mean_error', (4.0, 2.0), 2.0)
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
