"""Losses of numbers, and the names of all losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.nn.cross_entropy import BinaryCrossEntropy, SoftmaxCrossEntropy
from daskpar.nn.layer import require_positive
from daskpar.nn.loss import Loss
from daskpar.nn.targets import softmax
from daskpar.nn.weights import mean_over_outputs
from daskpar.registry import register

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SoftmaxCrossEntropy",
    "log_softmax",
    "softmax",
]


@dataclass(frozen=True)
class ErrorLoss(Loss):
    """Base class of losses of the error `outputs - targets`, averaged over the outputs of an example.

    Subclasses define `terms`, and the power of the targets' units in them as `unit_power`.
    """

    over_positions: ClassVar[str] = "mean"

    def terms(self, error: Array) -> tuple[Array, Array]:
        """Return the loss of each error (rows, ...), and its derivative."""
        raise TypeError(f"{type(self).__name__} does not define terms")

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        each, slope = self.terms(_error(outputs, targets))
        return mean_over_outputs(each, slope, weights)

    def in_units(
        self, outputs: Array, targets: Array, units: Array, weights: Array | None = None
    ) -> tuple[float, float]:
        each, _ = self.terms(_error(outputs, targets))
        return mean_over_outputs(each * units, each, weights)[:2]


@register("mean_squared_error")
@dataclass(frozen=True)
class MeanSquaredError(ErrorLoss):
    """Mean squared error: `(outputs - targets)²`, averaged over the outputs of an example and over examples.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers of the same shape, or (rows,) for outputs (rows, 1).

    Example:
        The sum over examples, the number of examples, and the gradient of the sum:

        >>> import numpy as np
        >>> from daskpar import MeanSquaredError
        >>> MeanSquaredError()(np.array([[1.0, 4.0]]), np.array([[0.0, 2.0]]))
        (2.5, 1.0, array([[1., 2.]]))
    """

    unit_power: ClassVar[int] = 2

    def terms(self, error: Array) -> tuple[Array, Array]:
        return error * error, 2 * error


@register("mean_absolute_error")
@dataclass(frozen=True)
class MeanAbsoluteError(ErrorLoss):
    """Mean absolute error: `|outputs - targets|`, averaged over the outputs of an example and over examples.

    The derivative at 0 is 0.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers of the same shape, or (rows,) for outputs (rows, 1).

    Example:
        The sum over examples, the number of examples, and the gradient of the sum:

        >>> import numpy as np
        >>> from daskpar import MeanAbsoluteError
        >>> MeanAbsoluteError()(np.array([[1.0, 4.0]]), np.array([[0.0, 2.0]]))
        (1.5, 1.0, array([[0.5, 0.5]]))
    """

    unit_power: ClassVar[int] = 1

    def terms(self, error: Array) -> tuple[Array, Array]:
        xp = array_module(error)
        return xp.abs(error), xp.sign(error)


@register("huber")
@dataclass(frozen=True)
class Huber(ErrorLoss):
    """Huber loss: squared for small errors, linear for large ones. Outliers count less.

    With e = outputs - targets, averaged over the outputs of an example and over examples:

        ½·e²                        if |e| <= delta
        delta·(|e| - ½·delta)       if |e| > delta

    Args:
        delta: Error at which the loss becomes linear, positive, in the units that the model learns: if
            targets are standardised, in standard deviations. Default: 1.0.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers of the same shape, or (rows,) for outputs (rows, 1).

    Raises:
        InputError: `delta` is not positive.

    Example:
        Errors of 0.5 and 3 contribute 0.125 and 2.5:

        >>> import numpy as np
        >>> from daskpar import Huber
        >>> Huber(delta=1.0)(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
        (2.625, 2.0, array([0.5, 1. ]))

    Reference:
        Huber 1964, "Robust estimation of a location parameter".
    """

    delta: float = 1.0
    unit_power: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require_positive("huber", delta=self.delta)

    def terms(self, error: Array) -> tuple[Array, Array]:
        clipped = array_module(error).clip(error, -self.delta, self.delta)
        return clipped * (error - 0.5 * clipped), clipped


def _error(outputs: Array, targets: Array) -> Array:
    return outputs - targets.reshape(outputs.shape).astype(outputs.dtype)
