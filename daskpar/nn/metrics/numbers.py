"""Metrics of numbers: root mean squared error, R²."""

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
    """Root mean squared error over all outputs, in the units of `y`.

    For a classifier, the error is that of the probabilities; the targets must have their shape.

    Args:
        name: Name in results. By keyword only. Default: "rmse".

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers of the same shape, or (rows,) for outputs (rows, 1).

    Example:
        Errors of 1 and 7:

        >>> import numpy as np
        >>> from daskpar import MeanSquaredError, RMSE
        >>> sums = RMSE().sums(np.array([[1.0], [7.0]]), np.array([0.0, 0.0]), MeanSquaredError())
        >>> sums, RMSE().value(sums)
        ((50.0, 2.0), 5.0)
    """

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
    """Return the sum of squared differences between targets and predictions. `weights` is (elements,)."""
    error = _wide(loss.activate(outputs)) - _wide(targets)
    return float(_weighed(error * error, weights).sum())


def _weighed(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return values if weights is None else values * weights


def _wide(x: Array) -> np.ndarray:
    """Return `x` as (elements,) in float64 on the host. A device has the precision of the run only."""
    return to_numpy(x).reshape(-1).astype(np.float64)


@register("r2")
@dataclass(frozen=True)
class R2(RMSE):
    """Coefficient of determination: 1 - Σ(t - output)² / Σ(t - mean)², over all outputs together.

    It is 1 for perfect predictions, and 0 for a model that always predicts the mean. Several outputs have one
    common mean. For a classifier, the outputs are the probabilities. It has no value if the targets do not
    vary.

    Args:
        name: Name in results. By keyword only. Default: "r2".

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...) numbers of the same shape, or (rows,) for outputs (rows, 1).

    Example:
        The squared errors sum to 1, the squared distances from the mean to 2:

        >>> import numpy as np
        >>> from daskpar import MeanSquaredError, R2
        >>> outputs, targets = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.0, 3.0])
        >>> R2().value(R2().sums(outputs, targets, MeanSquaredError()))
        0.5
    """

    larger_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = "the targets do not vary, or there is only one"

    def width(self, outputs: int) -> int:
        return 6

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        """Return the residual, the count, Σt and Σt². The last two are pairs of floats (see `exact_sums`)."""
        t = _wide(targets)
        if not t.size:
            return (0.0,) * 6
        pivot = float(t[0])  # one of the targets: the distance of equal targets is exactly 0
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
