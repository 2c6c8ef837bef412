"""The contract of a metric: sums over examples, so that chunks are measured apart and their sums added.

`sums(outputs, targets, loss)` returns a flat tuple of Python floats, so that sums of chunks add up element
by element; `value(sums)` turns the total into what is reported. `loss.task` tells what the outputs say.

A value that follows from no sums, such as the area under a curve, needs all rows at once: see `gathered`.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, cast

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.layer import Shape
from daskpar.nn.loss import Loss
from daskpar.nn.metric_name import MetricName, take_own_name
from daskpar.nn.weights import by_rows, takes_weights, total_weight
from daskpar.registry import Table
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
    gathered: ClassVar[bool] = False
    undefined: ClassVar[str] = "there is nothing to take the mean of"
    _: KW_ONLY
    name: str = cast(str, MetricName())

    def __init_subclass__(cls, **options: object) -> None:
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
        probabilities of those of a classifier. `targets`: (rows, ...), as the loss takes them. A metric may
        have one more argument, `weights=None`: those of the rows (rows,); see `weighted_sums`.
        """
        raise TypeError(f"{type(self).__name__} is no metric")

    def weighted_sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array) -> Sums:
        """The sums over a chunk, with the share of each example times its weight.

        `weights`: (rows,), not negative. A metric whose `sums` has an argument `weights` gets them there; of
        any other the sums over the examples of each distinct weight are multiplied.
        """
        if takes_weights(type(self).sums):
            return self.sums(outputs, targets, loss, weights)  # type: ignore[call-arg]
        xp, every = array_module(outputs), to_numpy(weights)
        width = self.width(outputs.shape[-1] if outputs.ndim > 1 else 1)
        total: Sums = (0.0,) * width
        for weight in np.unique(every[every > 0]).tolist():
            rows = xp.asarray(np.flatnonzero(every == weight))
            part = self.sums(outputs[rows], targets[rows], loss)
            total = tuple(a + weight * b for a, b in zip(total, part, strict=True))
        return total

    def value(self, sums: Sums) -> float | list[list[float]]:
        """The mean: first sum over second."""
        return sums[0] / sums[1] if sums[1] else math.nan


METRICS = Table("metric", Metric, "daskpar.nn")


def classes_of(targets: Array, outputs: Array) -> Array:
    """Integer classes from integer or one-hot (or probability) targets."""
    return array_module(targets).argmax(targets, axis=-1) if targets.ndim == outputs.ndim else targets


def is_decided(outputs: Array) -> Array:
    """True for each example whose outputs name a class: NaN does not."""
    xp = array_module(outputs)
    return ~xp.isnan(xp.max(outputs, axis=-1))


def share_of(right: Array, weights: Array | None) -> Sums:
    """Return the number of true values of `right` (rows, ...), and of all; with weights, their sums."""
    if weights is None:
        return float(array_module(right).sum(right)), float(math.prod(right.shape))
    weighed = right * by_rows(weights, right)
    return total_weight(weighed), total_weight(weights) * math.prod(right.shape[1:])


def flat_weights(weights: Array | None, terms: int) -> np.ndarray | None:
    """The weights (terms,) of all terms of the rows, in float64 on the host; None where there are none."""
    if weights is None:
        return None
    return np.repeat(to_numpy(weights).astype(np.float64), terms // max(1, len(weights)))
