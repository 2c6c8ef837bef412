"""Precision, recall and F1 from counts of each class, with the averages of scikit-learn.

Counts are sums over examples, so the values are exact under any layout, also for the steps of training.
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
    """Numbers of examples of each class, arrays (classes,): rightly predicted, predicted, and true."""

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Counted(Metric):
    """Base class of metrics of the counts of each class. Subclasses define `score`.

    A score of 0 / 0 is 0. As in scikit-learn, "macro" leaves out a class that neither occurs nor is
    predicted, but no label.

    Args:
        average: Average over classes. None chooses "binary" for two classes or one label, else "macro".
            Default: None.

            - "binary": The score of the second of two classes, or of the only label.
            - "macro": The mean over classes.
            - "weighted": The mean over classes, weighted by their numbers of examples.
            - "micro": The score of the counts of all classes together.
        name: Name in results. By keyword only. Default: the metric's name, after that of the average if
            chosen, e.g. "macro_f1".
    """

    average: str | None = setting(None, "average over classes", choices=AVERAGES)
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
        """Return the counts class by class, and the number of examples with labels (0 for classes)."""
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
        """Return the score (classes,) of each class."""
        raise TypeError(f"{type(self).__name__} does not define score")


@register("precision")
@dataclass(frozen=True)
class Precision(Counted):
    """Precision: of the examples predicted as a class, the share that belong to it.

    A score of 0 / 0 is 0. Values and averages are those of scikit-learn.

    Args:
        average: "binary", "macro", "weighted" or "micro", as for `F1`. None chooses "binary" for two classes
            or one label, else "macro". Default: None.
        name: Name in results. By keyword only. Default: "precision", or e.g. "macro_precision".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Raises:
        InputError: `average` is unknown. Or it is "binary" for more than two classes or one label.

    Example:
        One example is predicted as class 1, rightly. Another of class 1 is missed:

        >>> import numpy as np
        >>> from daskpar import Precision, SoftmaxCrossEntropy
        >>> outputs, classes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1, 1, 0])
        >>> Precision().value(Precision().sums(outputs, classes, SoftmaxCrossEntropy()))
        1.0
    """

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.right, counts.predicted)


@register("recall")
@dataclass(frozen=True)
class Recall(Counted):
    """Recall: of the examples of a class, the share that are predicted as it.

    A score of 0 / 0 is 0. Values and averages are those of scikit-learn.

    Args:
        average: "binary", "macro", "weighted" or "micro", as for `F1`. None chooses "binary" for two classes
            or one label, else "macro". Default: None.
        name: Name in results. By keyword only. Default: "recall", or e.g. "macro_recall".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Raises:
        InputError: `average` is unknown. Or it is "binary" for more than two classes or one label.

    Example:
        One of two examples of class 1 is predicted as class 1:

        >>> import numpy as np
        >>> from daskpar import Recall, SoftmaxCrossEntropy
        >>> outputs, classes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1, 1, 0])
        >>> Recall().value(Recall().sums(outputs, classes, SoftmaxCrossEntropy()))
        0.5
    """

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(counts.right, counts.true)


@register("f1")
@dataclass(frozen=True)
class F1(Counted):
    """F1 score: the harmonic mean of precision and recall, 2·right / (predicted + true).

    A score of 0 / 0 is 0. Values and averages are those of scikit-learn: "macro" leaves out a class that
    neither occurs nor is predicted, but no label.

    Args:
        average: Average over classes. None chooses "binary" for two classes or one label, else "macro".
            Default: None.

            - "binary": The score of the second of two classes, or of the only label.
            - "macro": The mean over classes.
            - "weighted": The mean over classes, weighted by their numbers of examples.
            - "micro": The score of the counts of all classes together.
        name: Name in results. By keyword only. Default: "f1", or e.g. "macro_f1".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Raises:
        InputError: `average` is unknown. Or it is "binary" for more than two classes or one label.

    Example:
        Precision and recall of class 1 are both 1/2:

        >>> import numpy as np
        >>> from daskpar import F1, SoftmaxCrossEntropy
        >>> outputs, classes = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([1, 1, 0])
        >>> F1().value(F1().sums(outputs, classes, SoftmaxCrossEntropy()))
        0.5
    """

    def score(self, counts: Counts) -> np.ndarray:
        return _ratio(2 * counts.right, counts.predicted + counts.true)


def check_average(metric: Metric, loss: Loss, out_shape: Shape) -> None:
    """Refuse the average "binary" for more than two classes, or more than one label. Raises InputError."""
    if getattr(metric, "average", None) != "binary":
        return
    outputs, most = out_shape[-1] if out_shape else 1, 1 if loss.task == "labels" else 2
    if outputs > most:
        raise InputError(
            f"metric {metric.kind}: average=binary is for two classes or one label, the model has {outputs} "
            "outputs; use macro, micro or weighted"
        )


def _of_classes(outputs: Array, targets: Array, weights: Array | None) -> Counts:
    """Return the counts of classes, from their largest outputs."""
    classes = outputs.shape[-1]
    predicted = to_numpy(array_module(outputs).argmax(outputs, axis=-1)).reshape(-1)
    decided = to_numpy(is_decided(outputs)).reshape(-1)
    true = to_numpy(classes_of(targets, outputs)).reshape(-1)
    each = flat_weights(weights, len(true))

    def count(numbers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.bincount(numbers[rows], None if each is None else each[rows], classes)

    every = np.full(len(true), True)
    return Counts(count(true, decided & (true == predicted)), count(predicted, decided), count(true, every))


def _of_labels(outputs: Array, targets: Array, weights: Array | None) -> tuple[Counts, float]:
    """Return the counts of labels, and the number of examples, or the sum of their weights."""
    yes = to_numpy(targets.reshape(outputs.shape) > 0.5)
    said = to_numpy(outputs > 0)
    labels = outputs.shape[-1] if outputs.ndim > 1 else 1
    yes, said = yes.reshape(-1, labels), said.reshape(-1, labels)
    each = flat_weights(weights, len(yes))
    if each is None:
        return Counts(*(counted.sum(axis=0) for counted in (yes & said, said, yes))), float(len(yes))
    weighed = (counted * each[:, None] for counted in (yes & said, said, yes))
    return Counts(*(counted.sum(axis=0) for counted in weighed)), float(each.sum())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
