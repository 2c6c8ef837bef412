"""Losses: those of numbers, and the names of all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.nn.cross_entropy import BinaryCrossEntropy, SoftmaxCrossEntropy, softmax
from daskpar.nn.layer import require_positive
from daskpar.nn.loss import Loss, mean_over_outputs
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


@register("mean_squared_error")
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """(outputs - targets)², the mean over an example's outputs."""

    over_positions: ClassVar[str] = "mean"

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        error = _error(outputs, targets)
        return mean_over_outputs(error * error, 2 * error, weights)


@register("mean_absolute_error")
@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """|outputs - targets|, the mean over an example's outputs; the derivative at 0 is 0."""

    over_positions: ClassVar[str] = "mean"

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        error = _error(outputs, targets)
        return mean_over_outputs(xp.abs(error), xp.sign(error), weights)


@register("huber")
@dataclass(frozen=True)
class Huber(Loss):
    """½e² where |e| <= delta, delta·(|e| - ½delta) beyond (Huber 1964); mean over an example's outputs."""

    delta: float = 1.0
    over_positions: ClassVar[str] = "mean"

    def __post_init__(self) -> None:
        require_positive("huber", delta=self.delta)

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None
    ) -> tuple[float, float, Array]:
        xp = array_module(outputs)
        error = _error(outputs, targets)
        clipped = xp.clip(error, -self.delta, self.delta)
        return mean_over_outputs(clipped * (error - 0.5 * clipped), clipped, weights)


def _error(outputs: Array, targets: Array) -> Array:
    return outputs - targets.reshape(outputs.shape).astype(outputs.dtype)
