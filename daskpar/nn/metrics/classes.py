"""Metrics of the classes that a model decides for: accuracy, top k, confusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.layer import Shape, require_positive
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric, Sums, classes_of, flat_weights, is_decided, share_of
from daskpar.registry import register


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

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        xp = array_module(outputs)
        if loss.task == "labels":
            yes = targets.reshape(outputs.shape) > 0.5
            right = xp.where(yes, outputs > 0, outputs <= 0)  # so that a NaN is never right
        else:
            right = (xp.argmax(outputs, axis=-1) == classes_of(targets, outputs)) & is_decided(outputs)
        if self.exact:
            right = xp.all(right.reshape(right.shape[0], -1), axis=1)
        return share_of(right, weights)

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

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        xp = array_module(outputs)
        classes = classes_of(targets, outputs)
        own = xp.take_along_axis(outputs, classes[..., None], axis=-1)
        right = xp.sum(~(outputs <= own), axis=-1) < self.k  # so that a NaN is never right
        return share_of(right, weights)

    @property
    def over_positions(self) -> str:
        return "sum"


@register("confusion")
@dataclass(frozen=True)
class Confusion(Metric):
    """Counts of (true class, predicted class), as rows of lists; of no and yes for a single label.

    Of rows with weights, the sums of these.
    """

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

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        if loss.task == "labels":
            classes = 2
            outputs = outputs.reshape(-1, 1)
            predicted, true = outputs[:, 0] > 0, targets.reshape(-1) > 0.5
        else:
            classes = outputs.shape[-1]
            predicted, true = array_module(outputs).argmax(outputs, axis=-1), classes_of(targets, outputs)
        cell = to_numpy(true).reshape(-1).astype(int) * classes + to_numpy(predicted).reshape(-1)
        counted, each = to_numpy(is_decided(outputs)).reshape(-1), flat_weights(weights, len(cell))
        if each is not None:
            each = each[counted]
        return tuple(float(n) for n in np.bincount(cell[counted], each, minlength=classes * classes))

    def value(self, sums: Sums) -> list[list[float]]:
        side = math.isqrt(len(sums))
        counts = [int(n) if n == int(n) else n for n in sums]
        return [counts[i * side : (i + 1) * side] for i in range(side)]

    @property
    def over_positions(self) -> str:
        return "sum"
