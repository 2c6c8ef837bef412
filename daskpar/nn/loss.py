"""The contract of a loss: what is summed over examples, and its gradient.

A loss returns sums, not means: `(loss_sum, weight_sum, d_outputs)` with `d_outputs` the gradient of
`loss_sum`. Whoever has the sums of the whole batch divides, so chunks and workers of unequal size come out
right. Sums are Python floats; `d_outputs` has the dtype of `outputs`. Examples with weights of their own
(`sample_weight`) are measured by `weighted`: the reported loss is the mean over weights, Σ w·loss / Σ w.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.nn.layer import Shape
from daskpar.nn.targets import activate, check_shapes, class_count, conform, decide, fault, outputs_of
from daskpar.registry import Table
from daskpar.settings import Block


@dataclass(frozen=True)
class Loss(Block):
    """The contract of a loss. Axis 0 of `outputs` and `targets` is the example.

    A loss of one's own defines `__call__(outputs, targets) -> (loss_sum, weight_sum, d_outputs)`: two floats,
    and an array shaped like `outputs` (rows, ...), of its dtype: the gradient of `loss_sum`. The weight of a
    row is usually 1. Inputs are never written to. A function does, too (`nn.functions.FunctionLoss`).

    `task` is the flag by which metrics and predictions go. It says what the outputs are:
      * "numbers": what is predicted. Targets have the shape of the outputs, or of a number for (rows, 1).
      * "classes": the largest along the last axis names the class. Targets are whole numbers (rows, ...), or
        probabilities shaped like the outputs. Labels of any kind are numbered before. `predict` returns
        labels for "classes", and softmax for "probabilities".
      * "labels": each is a yes where it is above 0, whatever the others are. Targets are from 0 to 1.

    >>> import numpy as np
    >>> class SquaredHinge(Loss):
    ...     task = "classes"
    ...     def __call__(self, outputs, targets):
    ...         sign = np.where(np.arange(outputs.shape[1]) == targets[:, None], 1, -1).astype(outputs.dtype)
    ...         gap = np.maximum(0, 1 - sign * outputs)
    ...         return float((gap * gap).sum()), float(len(outputs)), -2 * sign * gap
    >>> SquaredHinge()(np.array([[2.0, -1.0], [0.5, 1.0]]), np.array([0, 1]))[:2]
    (2.25, 2.0)
    """

    kind: ClassVar[str] = "loss"
    task: ClassVar[str] = "numbers"
    over_positions: ClassVar[str] = ""
    """How the loss of a sequence follows from those of its positions: their `sum`, which its weight sums
    likewise, or their `mean`. Nothing where it needs the whole."""

    unit_power: ClassVar[int | None] = None
    """The power of the units of the targets that the loss has, e.g. 2; None where it has none."""

    def in_units(
        self, outputs: Array, targets: Array, units: Array, weights: Array | None = None
    ) -> tuple[float, float]:
        """The sums of the loss and its weights, with the share of each output times its number of `units`.

        `units`: as the outputs of an example. For losses with a `unit_power`.
        """
        raise TypeError(f"{type(self).__name__} has no power of units")

    @property
    def splits(self) -> bool:
        """True where outputs may come in parts, by classes: see `gather` and `with_total`."""
        return False

    def gather(self, outputs: Array, targets: Array, first: int, classes: int) -> Array:
        """The sums that the others need of the outputs for the classes from `first` on."""
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def combine(self, gathered: Sequence[Array]) -> Array:
        """Combine the sums of several parts into those of one."""
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def with_total(
        self,
        outputs: Array,
        targets: Array,
        first: int,
        classes: int,
        total: Array,
        weights: Array | None = None,
    ) -> tuple[float, float, Array]:
        """The loss and its weight, and the gradient of these outputs, from what all parts have gathered.

        `weights`: (rows,), one for each example; None where all count alike.
        """
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def check(self, out_shape: Shape, target_shape: Shape, target_dtype: DTypeLike) -> None:
        """Refuse targets that do not fit the outputs (shapes without the example axis)."""
        check_shapes(self.task, self.kind, out_shape, target_shape, target_dtype)

    def conform(self, targets: Array, out_shape: Shape) -> Array:
        """Return targets (rows, ...) in the shape and kind that the loss computes with, where they can be."""
        return conform(self.task, targets, out_shape)

    def classes(self, out_shape: Shape) -> int | None:
        """Return how many classes outputs tell apart; None where each answers for itself, or numbers."""
        return class_count(self.task, out_shape)

    def refuses(self, targets: Array, out_shape: Shape) -> str | None:
        """The fault in the values of some targets, or None."""
        return fault(self.task, targets, out_shape)

    def __call__(self, outputs: Array, targets: Array) -> tuple[float, float, Array]:
        raise TypeError(f"{type(self).__name__} is no loss")

    def weighted(self, outputs: Array, targets: Array, weights: Array) -> tuple[float, float, Array]:
        """The same sums and gradient, with the share of each example times its weight.

        `weights`: (rows,), not negative. A loss whose `__call__` has an argument `weights` gets them there;
        any other is called once for each distinct weight, with the examples that have it.

        >>> from daskpar.nn import MeanSquaredError
        >>> MeanSquaredError().weighted(np.array([1.0, 3.0]), np.array([0.0, 0.0]), np.array([2.0, 1.0]))
        (11.0, 3.0, array([4., 6.]))
        """
        if takes_weights(type(self).__call__):
            return self(outputs, targets, weights)  # type: ignore[call-arg]
        xp = array_module(outputs)
        every = to_numpy(weights)
        d_outputs, loss, weight_sum = xp.zeros_like(outputs), 0.0, 0.0
        for weight in np.unique(every[every > 0]).tolist():
            rows = xp.asarray(np.flatnonzero(every == weight))
            part, count, slope = self(outputs[rows], targets[rows])
            loss, weight_sum = loss + weight * part, weight_sum + weight * count
            d_outputs[rows] = weight * slope
        return loss, weight_sum, d_outputs

    def activate(self, outputs: Array) -> Array:
        """Probabilities for a classifier, the outputs themselves otherwise: what a person reads."""
        return activate(self.task, outputs)

    def decide(self, outputs: Array) -> Array:
        """The class of each example for a classifier, the outputs themselves otherwise."""
        return decide(self.task, outputs)

    def mean(self, outputs: Sequence[Array]) -> Array:
        """Outputs that say what several models say on average: of probabilities, for a classifier."""
        return outputs_of(self.task, _mean([self.activate(each) for each in outputs]))


@cache
def takes_weights(function: Callable[..., object]) -> bool:
    """Return whether a function has an argument `weights`."""
    return "weights" in signature(function).parameters


def _mean(arrays: Sequence[Array]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total * (1 / len(arrays))


def mean_over_outputs(each: Array, slope: Array, weights: Array | None = None) -> tuple[float, float, Array]:
    """A loss and its gradient, from those of each output: the mean over an example's outputs.

    `weights`: (rows,), by which examples count; None where all count alike.
    """
    weight_sum = float(each.shape[0])
    share = 1 / max(1, math.prod(each.shape[1:]))
    if weights is not None:
        weight_sum, of_rows = total_weight(weights), by_rows(weights, each)
        each, slope = each * of_rows, slope * of_rows
    return float(array_module(each).sum(each)) * share, weight_sum, slope * share


def by_rows(weights: Array, values: Array) -> Array:
    """Weights (rows,) with as many axes as `values` (rows, ...), to multiply them by."""
    return weights.reshape(-1, *(1,) * (values.ndim - 1))


def total_weight(weights: Array) -> float:
    """The sum of weights (rows,), in float64."""
    return float(array_module(weights).sum(weights, dtype=np.float64))


LOSSES = Table("loss", Loss, "daskpar.nn")
