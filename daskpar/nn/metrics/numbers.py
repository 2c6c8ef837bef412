"""Metrics of numbers: root of the mean squared error, R²."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.errors import InputError
from daskpar.nn.exact_sums import moments, spread
from daskpar.nn.layer import Shape
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric, Sums, flat_weights
from daskpar.registry import register


@register("rmse")
@dataclass(frozen=True)
class RMSE(Metric):
    """Root of the mean squared error, over all outputs; of probabilities, for a classifier."""

    larger_is_better: ClassVar[bool] = False

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        self.check_task(loss)
        if math.prod(out_shape) != math.prod(target_shape):
            use = ""
            if loss.task == "classes":
                use = " (probabilities or one-hot targets), or use accuracy"
            raise InputError(
                f"metric {self.kind}: the targets hold {target_shape or 'a number'} per example, "
                f"the model returns {out_shape}; they must have one shape{use}"
            )

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        each = flat_weights(weights, math.prod(outputs.shape))
        count = float(math.prod(outputs.shape)) if each is None else float(each.sum())
        return _residual(outputs, targets, loss, each), count

    def value(self, sums: Sums) -> float:
        return math.sqrt(sums[0] / sums[1]) if sums[1] else math.nan

    @property
    def over_positions(self) -> str:
        return "sum"


def _residual(outputs: Array, targets: Array, loss: Loss, weights: np.ndarray | None) -> float:
    """The sum of squared differences between targets and what a person reads; `weights`: (elements,)."""
    error = _wide(loss.activate(outputs)) - _wide(targets)
    return float(_weighed(error * error, weights).sum())


def _weighed(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return values if weights is None else values * weights


def _wide(x: Array) -> np.ndarray:
    """All of `x` in float64 (elements,), on the host: a device computes in the run's precision only."""
    return to_numpy(x).reshape(-1).astype(np.float64)


@register("r2")
@dataclass(frozen=True)
class R2(RMSE):
    """1 - residual / total sum of squares, over all outputs together (their mean taken as one).

    Of probabilities, for a classifier. Sums: residual, count, Σt and Σt², the last two as pairs of floats
    (see `exact_sums`). No value where the targets do not vary.
    """

    larger_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "the targets do not vary, or there is only one"

    def width(self, outputs: int) -> int:
        return 6

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        t = _wide(targets)
        if not t.size:
            return (0.0,) * 6
        pivot = float(t[0])  # a target, so that equal ones are exactly 0 apart
        around = t - pivot
        each = flat_weights(weights, t.size)
        count = float(t.size) if each is None else float(each.sum())
        total, squares = _weighed(around, each).sum(), _weighed(around * around, each).sum()
        split = moments(count, pivot, float(total), float(squares))
        return _residual(outputs, targets, loss, each), count, *split

    def value(self, sums: Sums) -> float:
        residual, count, *pairs = sums
        total = spread(count, (pairs[0], pairs[1]), (pairs[2], pairs[3]))
        return 1 - residual / total if total > 0 else math.nan
