"""The contract of a metric: sums over examples, so that chunks are measured separately and their sums added.

    chunk 0   sums(outputs, targets, loss) ─┐
    chunk 1   sums(outputs, targets, loss) ─┼─ add element by element ─> value(sums)
    chunk 2   sums(outputs, targets, loss) ─┘

Some values do not follow from sums, e.g. the area under a curve. They need all rows at once: see
`metrics.rows.Gathered`.
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
    """Base class of metrics.

    To write a metric as a class, derive from this class, set `name`, and define `sums`. The value is then the
    first sum over the second. For another value, define `value` and `width`. A function is often enough: see
    `FunctionMetric`. Decorate the class with `@dataclass(frozen=True)` if it has settings, and with
    `@register("name")` to use it in a config.

    Args:
        name: Name in results, by which callbacks monitor it. By keyword only. Default: `own_name`.

    Attributes:
        tasks: Tasks of the losses that the metric can be used with (see `Loss.task`). Others are refused.
            Default: all.
        larger_is_better: True if larger values are better, for early stopping and the best checkpoint.
            Default: True.
        scalar: True if the value is a float. False if it is anything else that JSON can hold. Callbacks
            cannot monitor it then. Default: True.
        gathered: True if the metric needs all rows at once. Default: False.
        undefined: Reason for a value of NaN, for messages.

    Shape:
        - Outputs: (rows, ...).
        - Targets: (rows, ...), as the loss expects them.

    Example:
        >>> import numpy as np
        >>> from daskpar import Loss, Metric
        >>> class Largest(Metric):
        ...     name = "largest"
        ...     def sums(self, outputs, targets, loss):
        ...         return float(outputs.max(axis=1).sum()), float(len(outputs))
        >>> sums = Largest().sums(np.array([[1.0, 2.0], [4.0, 3.0]]), None, Loss())
        >>> sums, Largest().value(sums)
        ((6.0, 2.0), 3.0)

        A Trainer accepts it like any other: `Trainer(..., metrics=[Largest()])`.
    """

    kind: ClassVar[str] = "metric"
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels", "numbers")
    larger_is_better: ClassVar[bool] = True
    scalar: ClassVar[bool] = True
    gathered: ClassVar[bool] = False
    undefined: ClassVar[str] = "there is nothing to average"
    _: KW_ONLY
    name: str = cast(str, MetricName())

    def __init_subclass__(cls, **options: object) -> None:
        take_own_name(cls)
        super().__init_subclass__(**options)

    @property
    def own_name(self) -> str:
        """The default name of the metric in results."""
        return self.kind

    @property
    def over_positions(self) -> str:
        """The text "sum" if the sums of a sequence are those of its positions, added; else "".

        An empty text excludes the metric from layouts that cut sequences.
        """
        return ""

    def width(self, outputs: int) -> int:
        """Return the number of sums, for a model with `outputs` outputs per example or position."""
        return 2

    def check_task(self, loss: Loss) -> None:
        """Refuse a loss that the metric cannot be used with. Raises InputError."""
        if loss.task not in self.tasks:
            use = _SUITABLE.get(loss.task, "another metric")
            raise InputError(
                f"metric {self.kind}: {loss.kind} learns {loss.task}, {self.kind} measures "
                f"{' or '.join(self.tasks)}; use {use}, or another loss"
            )

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        """Check that the metric can be computed for this loss, outputs and targets.

        Args:
            loss: Loss of the run.
            out_shape: Shape of the outputs of one example.
            target_shape: Shape of the targets of one example.

        Raises:
            InputError: The metric cannot be computed.
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
        """Return the sums over a chunk of examples, as Python floats.

        The inputs must not be changed.

        Args:
            outputs: (rows, ...) outputs of the model, before softmax or sigmoid. `loss.activate` returns
                probabilities, `loss.decide` classes.
            targets: (rows, ...) targets, as the loss expects them.
            loss: Loss of the run.

        A metric may have one more argument, `weights=None`: the weights (rows,) of the examples. See
        `weighted_sums`.

        Returns:
            A tuple of `width` floats.
        """
        raise TypeError(f"{type(self).__name__} does not define sums(outputs, targets, loss)")

    def weighted_sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array) -> Sums:
        """Return the sums over a chunk, with the share of each example multiplied by its weight.

        A metric whose `sums` has an argument `weights` receives them there. The `sums` of any other metric is
        called once for each distinct weight, with the examples that have it.

        Args:
            outputs: (rows, ...) outputs of the model.
            targets: (rows, ...) targets.
            loss: Loss of the run.
            weights: (rows,) weights of the examples, not negative.
        """
        if takes_weights(type(self).sums):
            return self.sums(outputs, targets, loss, weights)  # type: ignore[call-arg]
        xp, weight_of_row = array_module(outputs), to_numpy(weights)
        width = self.width(outputs.shape[-1] if outputs.ndim > 1 else 1)
        total: Sums = (0.0,) * width
        for weight in np.unique(weight_of_row[weight_of_row > 0]).tolist():
            rows = xp.asarray(np.flatnonzero(weight_of_row == weight))
            part = self.sums(outputs[rows], targets[rows], loss)
            total = tuple(a + weight * b for a, b in zip(total, part, strict=True))
        return total

    def value(self, sums: Sums) -> float | list[list[float]]:
        """Return the value that follows from the sums of all examples. NaN if there is none.

        Default: the first sum over the second, a mean.
        """
        return sums[0] / sums[1] if sums[1] else math.nan


METRICS = Table("metric", Metric, "daskpar.nn")


def classes_of(targets: Array, outputs: Array) -> Array:
    """Return integer classes (rows, ...) from integer, one-hot or probability targets."""
    return array_module(targets).argmax(targets, axis=-1) if targets.ndim == outputs.ndim else targets


def is_decided(outputs: Array) -> Array:
    """Return (rows, ...) booleans: false where outputs (rows, ..., classes) hold a NaN."""
    xp = array_module(outputs)
    return ~xp.isnan(xp.max(outputs, axis=-1))


def share_of(right: Array, weights: Array | None) -> Sums:
    """Return the number of true values of `right` (rows, ...) and of all values. With weights, their sums."""
    if weights is None:
        return float(array_module(right).sum(right)), float(math.prod(right.shape))
    weighed = right * by_rows(weights, right)
    return total_weight(weighed), total_weight(weights) * math.prod(right.shape[1:])


def flat_weights(weights: Array | None, terms: int) -> np.ndarray | None:
    """Return the weights (terms,) of all terms of the rows, in float64 on the host. None without weights."""
    if weights is None:
        return None
    return np.repeat(to_numpy(weights).astype(np.float64), terms // max(1, len(weights)))
