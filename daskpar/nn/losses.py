"""Losses: those of numbers, and the names of all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.nn.cross_entropy import BinaryCrossEntropy, SoftmaxCrossEntropy
from daskpar.nn.layer import require_positive
from daskpar.nn.loss import Loss, mean_over_outputs
from daskpar.nn.targets import softmax
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
    """A loss of errors, the mean over an example's outputs. It defines `terms`.

    `unit_power`: the power of the units of the targets that it has, e.g. 2 for squares.
    """

    over_positions: ClassVar[str] = "mean"

    def terms(self, error: Array) -> tuple[Array, Array]:
        """The loss of each error (rows, ...), and its derivative."""
        raise TypeError(f"{type(self).__name__} has no terms")

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
    """(outputs - targets)², the mean over an example's outputs."""

    unit_power: ClassVar[int] = 2

    def terms(self, error: Array) -> tuple[Array, Array]:
        return error * error, 2 * error


@register("mean_absolute_error")
@dataclass(frozen=True)
class MeanAbsoluteError(ErrorLoss):
    """|outputs - targets|, the mean over an example's outputs; the derivative at 0 is 0."""

    unit_power: ClassVar[int] = 1

    def terms(self, error: Array) -> tuple[Array, Array]:
        xp = array_module(error)
        return xp.abs(error), xp.sign(error)


@register("huber")
@dataclass(frozen=True)
class Huber(ErrorLoss):
    """½e² where |e| <= delta, delta·(|e| - ½delta) beyond (Huber 1964); mean over an example's outputs.

    Behind scaled targets `delta` is a number of their scale, e.g. of deviations.
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
