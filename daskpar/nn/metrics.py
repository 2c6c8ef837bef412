"""Metrics as sums over examples: chunks are measured apart and their sums added.

`sums(outputs, targets, loss)` returns a flat tuple of Python floats, so that sums of chunks add up element
by element; `value(sums)` turns the total into what is reported. `loss.task` tells what the outputs say.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, cast

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.exact_sums import moments, spread
from daskpar.nn.layer import Shape, require_positive
from daskpar.nn.loss import Loss
from daskpar.nn.metric_name import MetricName, take_own_name
from daskpar.registry import Table, register
from daskpar.settings import Block

Sums = tuple[float, ...]
_SUITABLE = {"classes": "accuracy, top_k or confusion", "labels": "accuracy", "numbers": "rmse or r2"}


@dataclass(frozen=True)
class Metric(Block):
    """The contract of a metric. A metric of one's own defines `kind` and `sums`, and where needed the rest.

    `name`: the metric's name in results, by which callbacks monitor it; `own_name` unless it is given.
    `tasks`: the tasks of the losses beside which it has a meaning (see `Loss.task`); others are refused.
    `width` is the number of sums, `value` what is made of them: a float, NaN where there is none, or anything
    that JSON can hold where `scalar` is False. `undefined` tells why there may be no value. Early stopping
    goes by `larger_is_better`, where the value is `scalar`.

    >>> class Largest(Metric):
    ...     name = "largest"
    ...     def sums(self, outputs, targets, loss):
    ...         return float(outputs.max(axis=1).sum()), float(len(outputs))
    >>> Largest().value(Largest().sums(np.array([[1.0, 2.0], [4.0, 3.0]]), None, Loss()))
    3.0
    """

    kind: ClassVar[str] = "metric"
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels", "numbers")
    larger_is_better: ClassVar[bool] = True
    scalar: ClassVar[bool] = True
    undefined: ClassVar[str] = "there is nothing to take the mean of"
    _: KW_ONLY
    name: str = cast(str, MetricName())

    def __init_subclass__(cls, **options: Any) -> None:
        take_own_name(cls)
        super().__init_subclass__(**options)

    @property
    def own_name(self) -> str:
        """The name of a metric that is given none."""
        return self.kind

    @property
    def over_positions(self) -> str:
        """`sum` where the sums over sequences are those over all positions; nothing where they may not be."""
        return ""

    def width(self, outputs: int) -> int:
        """The number of sums, for a model with so many outputs per example."""
        return 2

    def check_task(self, loss: Loss) -> None:
        """Refuse a loss beside which the metric has no meaning. Raises InputError."""
        if loss.task not in self.tasks:
            use = _SUITABLE.get(loss.task, "another metric")
            raise InputError(
                f"metric {self.kind}: {loss.kind} learns {loss.task}, {self.kind} measures "
                f"{' or '.join(self.tasks)}; use {use}, or another loss"
            )

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        """Refuse a loss, outputs or targets (shapes without the example axis) that cannot be measured so.

        Raises InputError.
        """
        self.check_task(loss)
        if loss.task == "classes":
            fits = target_shape in (out_shape, out_shape[:-1])
        else:
            fits = math.prod(out_shape) == math.prod(target_shape)
        if not fits:
            raise InputError(
                f"metric {self.kind}: the targets hold {target_shape or 'a number'} per example, "
                f"the model returns {out_shape}"
            )

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        """The sums over a chunk. `outputs`: (rows, ...), as the model returns them; `loss.activate` makes
        probabilities of those of a classifier. `targets`: (rows, ...), as the loss takes them.
        """
        raise TypeError(f"{type(self).__name__} is no metric")

    def value(self, sums: Sums) -> float | list[list[int]]:
        """The mean: first sum over second."""
        return sums[0] / sums[1] if sums[1] else math.nan


METRICS = Table("metric", Metric, "daskpar.nn")


def _classes(targets: Array, outputs: Array) -> Array:
    """Integer classes from integer or one-hot (or probability) targets."""
    return array_module(targets).argmax(targets, axis=-1) if targets.ndim == outputs.ndim else targets


def _decided(outputs: Array) -> Array:
    """True for each example whose outputs name a class: NaN does not."""
    xp = array_module(outputs)
    return ~xp.isnan(xp.max(outputs, axis=-1))


@register("accuracy")
@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of classes that are right; beside a loss of labels, of outputs on the right side of 0.

    With `exact` an example counts where all of it is right, each of its labels or each step of a sequence
    (the subset accuracy of scikit-learn); the name is then `exact_accuracy`.
    """

    exact: bool = False
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")

    @property
    def own_name(self) -> str:
        return "exact_accuracy" if self.exact else self.kind

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        xp = array_module(outputs)
        if loss.task == "labels":
            yes = targets.reshape(outputs.shape) > 0.5
            right = xp.where(yes, outputs > 0, outputs <= 0)  # so that a NaN is never right
        else:
            right = (xp.argmax(outputs, axis=-1) == _classes(targets, outputs)) & _decided(outputs)
        if self.exact:
            right = xp.all(right.reshape(right.shape[0], -1), axis=1)
        return float(xp.sum(right)), float(math.prod(right.shape))

    @property
    def over_positions(self) -> str:
        return "" if self.exact else "sum"


@register("top_k")
@dataclass(frozen=True)
class TopK(Metric):
    """Share of examples whose class is among the `k` largest outputs; ties count for the example."""

    k: int = 5
    tasks: ClassVar[tuple[str, ...]] = ("classes",)

    def __post_init__(self) -> None:
        require_positive("top_k", k=self.k)

    @property
    def own_name(self) -> str:
        return f"top_{self.k}"

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        self.check_task(loss)
        if not out_shape or out_shape[-1] < 2:
            raise InputError(f"metric top_k: the model returns {out_shape}; expected an output a class")
        super().check(loss, out_shape, target_shape)

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        xp = array_module(outputs)
        classes = _classes(targets, outputs)
        own = xp.take_along_axis(outputs, classes[..., None], axis=-1)
        right = xp.sum(~(outputs <= own), axis=-1) < self.k  # so that a NaN is never right
        return float(xp.sum(right)), float(math.prod(right.shape))

    @property
    def over_positions(self) -> str:
        return "sum"


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

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        return _residual(outputs, targets, loss), float(math.prod(outputs.shape))

    def value(self, sums: Sums) -> float:
        return math.sqrt(sums[0] / sums[1]) if sums[1] else math.nan

    @property
    def over_positions(self) -> str:
        return "sum"


def _residual(outputs: Array, targets: Array, loss: Loss) -> float:
    """The sum of squared differences between targets and what a person reads."""
    error = _wide(loss.activate(outputs)) - _wide(targets)
    return float((error * error).sum())


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

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        t = _wide(targets)
        if not t.size:
            return (0.0,) * 6
        pivot = float(t[0])  # a target, so that equal ones are exactly 0 apart
        around = t - pivot
        count = float(t.size)
        split = moments(count, pivot, float(around.sum()), float((around * around).sum()))
        return _residual(outputs, targets, loss), count, *split

    def value(self, sums: Sums) -> float:
        residual, count, *pairs = sums
        total = spread(count, (pairs[0], pairs[1]), (pairs[2], pairs[3]))
        return 1 - residual / total if total > 0 else math.nan


@register("confusion")
@dataclass(frozen=True)
class Confusion(Metric):
    """Counts of (true class, predicted class), as rows of lists; of no and yes for a single label."""

    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    scalar: ClassVar[bool] = False

    def width(self, outputs: int) -> int:
        return max(outputs, 2) ** 2

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        super().check(loss, out_shape, target_shape)
        if loss.task == "labels" and out_shape and out_shape[-1] > 1:
            raise InputError(
                f"metric {self.kind}: {loss.kind} learns {out_shape[-1]} labels that do not exclude each "
                "other; use accuracy, a single output, or softmax_cross_entropy"
            )

    def sums(self, outputs: Array, targets: Array, loss: Loss) -> Sums:
        if loss.task == "labels":
            classes = 2
            outputs = outputs.reshape(-1, 1)
            predicted, true = outputs[:, 0] > 0, targets.reshape(-1) > 0.5
        else:
            classes = outputs.shape[-1]
            predicted, true = array_module(outputs).argmax(outputs, axis=-1), _classes(targets, outputs)
        cell = to_numpy(true).reshape(-1).astype(int) * classes + to_numpy(predicted).reshape(-1)
        counted = cell[to_numpy(_decided(outputs)).reshape(-1)]
        return tuple(float(n) for n in np.bincount(counted, minlength=classes * classes))

    def value(self, sums: Sums) -> list[list[int]]:
        side = math.isqrt(len(sums))
        return [[int(n) for n in sums[i * side : (i + 1) * side]] for i in range(side)]

    @property
    def over_positions(self) -> str:
        return "sum"
