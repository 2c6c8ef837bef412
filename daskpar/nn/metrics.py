"""Metrics as sums over examples: chunks are measured apart and their sums added.

`sums(outputs, targets)` returns a flat tuple of Python floats, so that sums of chunks add element by
element; `value(sums)` turns the total into what is reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.layer import Shape, positive
from daskpar.settings import Block

Sums = tuple[float, ...]


@dataclass(frozen=True)
class Metric(Block):
    """The contract of a metric. Early stopping goes by `larger_is_better`, where the value is `scalar`."""

    kind: ClassVar[str] = "metric"
    larger_is_better: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.kind

    def width(self, outputs: int) -> int:
        """How many sums there are, for a model with so many outputs per example."""
        return 2

    def check(self, out_shape: Shape, target_shape: Shape) -> None:
        """Refuse outputs or targets (shapes without the example axis) that cannot be measured so."""
        if target_shape not in (out_shape, out_shape[:-1]):
            raise InputError(
                f"metric {self.kind}: the targets hold {target_shape or 'a number'} per example, "
                f"the model returns {out_shape}"
            )

    def sums(self, outputs: Array, targets: Array) -> Sums:
        raise TypeError(f"{type(self).__name__} is no metric")

    def value(self, sums: Sums) -> Any:
        """The mean: first sum over second."""
        return sums[0] / sums[1] if sums[1] else math.nan


def _classes(targets: Array, outputs: Array) -> Array:
    """Integer classes from integer or one-hot (or probability) targets."""
    if targets.ndim == outputs.ndim and outputs.shape[-1] > 1:
        return array_module(targets).argmax(targets, axis=-1)
    return targets


@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of examples whose class is right; with one output, the class is 1 where the output is above 0."""

    kind: ClassVar[str] = "accuracy"

    def sums(self, outputs: Array, targets: Array) -> Sums:
        xp = array_module(outputs)
        if outputs.ndim == 1 or outputs.shape[-1] == 1:
            right = (outputs > 0) == (targets.reshape(outputs.shape) > 0.5)
        else:
            right = xp.argmax(outputs, axis=-1) == _classes(targets, outputs)
        return float(xp.sum(right)), float(math.prod(right.shape))


@dataclass(frozen=True)
class TopK(Metric):
    """Share of examples whose class is among the `k` largest outputs; ties count for the example."""

    k: int = 5
    kind: ClassVar[str] = "top_k"

    def __post_init__(self) -> None:
        positive("top_k", k=self.k)

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def check(self, out_shape: Shape, target_shape: Shape) -> None:
        if not out_shape or out_shape[-1] < 2:
            raise InputError(f"metric top_k: the model returns {out_shape}; expected an output a class")
        super().check(out_shape, target_shape)

    def sums(self, outputs: Array, targets: Array) -> Sums:
        xp = array_module(outputs)
        classes = _classes(targets, outputs)
        own = xp.take_along_axis(outputs, classes[..., None], axis=-1)
        right = xp.sum(~(outputs <= own), axis=-1) < self.k  # so that a NaN is never right
        return float(xp.sum(right)), float(math.prod(right.shape))


@dataclass(frozen=True)
class RMSE(Metric):
    """Root of the mean squared error, over all outputs."""

    kind: ClassVar[str] = "rmse"
    larger_is_better: ClassVar[bool] = False

    def check(self, out_shape: Shape, target_shape: Shape) -> None:
        if math.prod(out_shape) != math.prod(target_shape):
            raise InputError(
                f"metric {self.kind}: the targets hold {target_shape or 'a number'} per example, "
                f"the model returns {out_shape}; they must have one shape"
            )

    def sums(self, outputs: Array, targets: Array) -> Sums:
        error = outputs - targets.reshape(outputs.shape).astype(outputs.dtype)
        return float(array_module(error).sum(error * error)), float(math.prod(error.shape))

    def value(self, sums: Sums) -> Any:
        return math.sqrt(sums[0] / sums[1]) if sums[1] else math.nan


@dataclass(frozen=True)
class R2(RMSE):
    """1 - residual / total sum of squares, over all outputs together (their mean taken as one).

    Sums: residual, Σt, Σt², count.
    """

    kind: ClassVar[str] = "r2"
    larger_is_better: ClassVar[bool] = True

    def width(self, outputs: int) -> int:
        return 4

    def sums(self, outputs: Array, targets: Array) -> Sums:
        xp = array_module(outputs)
        t = targets.reshape(outputs.shape).astype(outputs.dtype)
        count = float(math.prod(t.shape))
        if not count:
            return 0.0, 0.0, 0.0, 0.0
        error, middle = outputs - t, float(xp.sum(t)) / count
        around = t - middle  # Σt² - (Σt)²/n would cancel in float32, so squares are summed about a mean
        offset = float(xp.sum(around)) / count
        mean = middle + offset
        squares = float(xp.sum(around * around)) - count * offset * offset + count * mean * mean
        return float(xp.sum(error * error)), count * mean, squares, count

    def value(self, sums: Sums) -> Any:
        residual, total, squares, count = sums
        spread = squares - total * total / count if count else 0.0
        return 1 - residual / spread if spread > 0 else math.nan


@dataclass(frozen=True)
class Confusion(Metric):
    """Counts of (true class, predicted class), as rows of lists."""

    kind: ClassVar[str] = "confusion"
    scalar: ClassVar[bool] = False

    def width(self, outputs: int) -> int:
        return max(outputs, 2) ** 2

    def sums(self, outputs: Array, targets: Array) -> Sums:
        import numpy as np

        single = outputs.ndim == 1 or outputs.shape[-1] == 1
        classes = 2 if single else outputs.shape[-1]
        if single:
            predicted, true = outputs.reshape(-1) > 0, targets.reshape(-1) > 0.5
        else:
            predicted, true = array_module(outputs).argmax(outputs, axis=-1), _classes(targets, outputs)
        cell = to_numpy(true).reshape(-1).astype(int) * classes + to_numpy(predicted).reshape(-1)
        return tuple(float(n) for n in np.bincount(cell, minlength=classes * classes))

    def value(self, sums: Sums) -> list[list[int]]:
        side = math.isqrt(len(sums))
        return [[int(n) for n in sums[i * side : (i + 1) * side]] for i in range(side)]
