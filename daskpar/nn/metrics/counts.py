"""Precision, recall and F1, from counts of each class: those of scikit-learn, with the same averages.

Counts are sums over examples, so these are exact over any cut, and of the steps of training too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.errors import InputError
from daskpar.nn.layer import Shape
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric, Sums, classes_of, flat_weights, is_decided
from daskpar.registry import register
from daskpar.settings import setting

AVERAGES = ("binary", "macro", "micro", "weighted")


class Counts(NamedTuple):
    """Examples of each class (classes,): rightly predicted, predicted, and true."""

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Counted(Metric):
    """A metric from the counts of each class. `score(counts)` gives its value for each of them.

    `average`: "binary" for the second of two classes or the only label, "macro" for the mean over classes,
    "weighted" for that weighted by the number of examples, "micro" for the value of all counts together.
    None chooses "binary" for two classes or one label, and "macro" for more. A score of nothing, 0 / 0, is 0.
    As in scikit-learn a class counts for "macro" where it occurs or is predicted, a label always.
    """

    average: str | None = setting(None, "of the classes", choices=AVERAGES)
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    undefined: ClassVar[str] = "there is nothing to count"

    @property
    def own_name(self) -> str:
        return self.kind if self.average is None else f"{self.average}_{self.kind}"

    @property
    def over_positions(self) -> str:
        return "sum"

    def width(self, outputs: int) -> int:
        return 3 * outputs + 1

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        super().check(loss, out_shape, target_shape)
        check_average(self, loss, out_shape)

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        """The counts class by class, and how many examples have labels, of which all count for "macro"."""
        if loss.task == "labels":
            counts, labelled = _of_labels(outputs, targets, weights)
        else:
            counts, labelled = _of_classes(outputs, targets, weights), 0.0
        return (*(float(n) for column in counts for n in column), labelled)

    def value(self, sums: Sums) -> float:
        labelled = sums[-1]
        counts = Counts(*np.asarray(sums[:-1]).reshape(3, -1))
        many = len(counts.true) > (1 if labelled else 2)
        average = self.average or ("macro" if many else "binary")
        if not (counts.true.any() or counts.predicted.any() or labelled):
            return math.nan
        if average == "binary":
            return float(self.score(counts)[-1])
        if average == "micro":
            return float(self.score(Counts(*(column.sum(keepdims=True) for column in counts)))[0])
        each = self.score(counts)
        if average == "weighted":
            total = counts.true.sum()
            return float((each * counts.true).sum() / total) if total else math.nan
        occurs = np.full(len(each), True) if labelled else counts.true + counts.predicted > 0
        return float(each[occurs].mean())

    def score(self, counts: Counts) -> np.ndarray:
        """The value (classes,) for each class."""
        raise TypeError(f"{type(self).__name__} has no score")


@register("precision")
@dataclass(frozen=True)
class Precision(Counted):
    """Share of the examples predicted as a class that are of it; see `Counted` for `average`."""

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.right, counts.predicted)


@register("recall")
@dataclass(frozen=True)
class Recall(Counted):
    """Share of the examples of a class that are predicted as it; see `Counted` for `average`."""

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.right, counts.true)


@register("f1")
@dataclass(frozen=True)
class F1(Counted):
    """Harmonic mean of precision and recall; see `Counted` for `average`.

    >>> from daskpar.nn import SoftmaxCrossEntropy
    >>> outputs, classes = np.array([[0.0, 1], [1, 0], [0, 1]]), np.array([1, 1, 0])
    >>> F1().value(F1().sums(outputs, classes, SoftmaxCrossEntropy()))
    0.5
    """

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(2 * counts.right, counts.predicted + counts.true)


def check_average(metric: Metric, loss: Loss, out_shape: Shape) -> None:
    """Refuse the average "binary" for more than two classes, or more than one label."""
    if getattr(metric, "average", None) != "binary":
        return
    outputs, most = out_shape[-1] if out_shape else 1, 1 if loss.task == "labels" else 2
    if outputs > most:
        raise InputError(
            f"metric {metric.kind}: average=binary is for two classes or one label, the model has {outputs} "
            "outputs; use macro, micro or weighted"
        )


def _of_classes(outputs: Array, targets: Array, weights: Array | None) -> Counts:
    classes = outputs.shape[-1]
    predicted = to_numpy(array_module(outputs).argmax(outputs, axis=-1)).reshape(-1)
    decided = to_numpy(is_decided(outputs)).reshape(-1)
    true = to_numpy(classes_of(targets, outputs)).reshape(-1)
    each = flat_weights(weights, len(true))

    def count(numbers: np.ndarray, which: np.ndarray) -> np.ndarray:
        return np.bincount(numbers[which], None if each is None else each[which], classes)

    every = np.full(len(true), True)
    return Counts(count(true, decided & (true == predicted)), count(predicted, decided), count(true, every))


def _of_labels(outputs: Array, targets: Array, weights: Array | None) -> tuple[Counts, float]:
    yes = to_numpy(targets.reshape(outputs.shape) > 0.5)
    said = to_numpy(outputs > 0)
    labels = outputs.shape[-1] if outputs.ndim > 1 else 1
    yes, said = yes.reshape(-1, labels), said.reshape(-1, labels)
    each = flat_weights(weights, len(yes))
    if each is None:
        return Counts(*(what.sum(axis=0) for what in (yes & said, said, yes))), float(len(yes))
    weighed = (what * each[:, None] for what in (yes & said, said, yes))
    return Counts(*(what.sum(axis=0) for what in weighed)), float(each.sum())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
