"""The area under the receiver operating characteristic (ROC) curve, exact under any layout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.errors import InputError
from daskpar.nn.gathered_rows import Columns
from daskpar.nn.layer import Shape
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.counts import AVERAGES, check_average
from daskpar.nn.metrics.metric import classes_of
from daskpar.nn.metrics.rows import Gathered
from daskpar.registry import register
from daskpar.settings import setting


@register("auc")
@dataclass(frozen=True)
class AUC(Gathered):
    """Area under the ROC curve of the predicted probabilities, as in scikit-learn.

    It is the probability that an example of a class has a higher score than an example of the others. Ties
    count half. It is not a sum over examples: an evaluation gathers the scores of all rows on the client (see
    `metrics.rows`). So it is measured for the validation rows and by `evaluate`, but not for the steps of
    training.

    Args:
        average: Average over classes. None chooses "binary" for two classes or one label, else "macro".
            Default: None.

            - "binary": The area of the second of two classes, or of the only label.
            - "macro": The mean over classes.
            - "weighted": The mean over classes, weighted by their numbers of examples.
            - "micro": The area of the scores of all classes together.
        multi_class: Comparison for more than two classes. Default: "ovr".

            - "ovr": Each class against all others together (one vs. rest).
            - "ovo": Each pair of classes (one vs. one), with the average "macro" or "weighted".
        name: Name in results. By keyword only. Default: "auc", or e.g. "macro_auc" or "ovo_auc".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Raises:
        InputError: `average` or `multi_class` is unknown, or they do not fit the loss.

    Example:
        Of the four pairs of a no and a yes, one is in the wrong order (1.0 and 0.5):

        >>> import numpy as np
        >>> from daskpar import AUC, BinaryCrossEntropy
        >>> outputs, labels = np.array([[-2.0], [1.0], [0.5], [3.0]]), np.array([0, 0, 1, 1])
        >>> AUC().value(AUC().sums(outputs, labels, BinaryCrossEntropy()))
        0.75

    Reference:
        Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic
        (ROC) curve". For several classes: Hand and Till 2001, "A simple generalisation of the area under the
        ROC curve for multiple class classification problems" (ovo), and Fawcett 2006, "An introduction to ROC
        analysis", section 9 (ovr).
    """

    average: str | None = setting(None, "average over classes", choices=AVERAGES)
    multi_class: str = setting("ovr", "a class against the rest, or against one", choices=("ovr", "ovo"))
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    undefined: ClassVar[str] = "each class needs examples of it and examples of others"

    @property
    def own_name(self) -> str:
        kind = self.kind if self.multi_class == "ovr" else "ovo_auc"
        return kind if self.average is None else f"{self.average}_{kind}"

    def check(self, loss: Loss, out_shape: Shape, target_shape: Shape) -> None:
        super().check(loss, out_shape, target_shape)
        check_average(self, loss, out_shape)
        if self.multi_class == "ovo" and (loss.task == "labels" or self.average == "micro"):
            raise InputError(
                "metric auc: multi_class=ovo compares pairs of classes, with the average macro or weighted; "
                "use ovr"
            )

    def columns(self, outputs: Array, targets: Array, loss: Loss) -> Columns:
        """Return scores (rows, positions, outputs) and the truth.

        The truth is (rows, positions) classes, or (rows, positions, outputs) booleans for labels.
        """
        rows, count = len(outputs), outputs.shape[-1] if outputs.ndim > 1 else 1
        scores = to_numpy(loss.activate(outputs)).reshape(rows, -1, count)
        if loss.task == "labels":
            return scores, to_numpy(targets.reshape(outputs.shape) > 0.5).reshape(rows, -1, count)
        return scores, to_numpy(classes_of(targets, outputs)).reshape(rows, -1)

    def measure(self, columns: Columns, weights: np.ndarray | None) -> float:
        scores, truth = columns
        _, positions, count = scores.shape
        scores = scores.reshape(-1, count)
        each = np.ones(len(scores)) if weights is None else np.repeat(weights, positions)
        if truth.ndim == 3:
            return self._one_against_rest(scores, truth.reshape(-1, count), each, count > 1)
        classes = truth.reshape(-1)
        if self.multi_class == "ovo" and count > 2:
            return self._one_against_one(scores, classes, each)
        hot = classes[:, None] == np.arange(count)
        return self._one_against_rest(scores, hot, each, count > 2)

    def _one_against_rest(
        self, scores: np.ndarray, hot: np.ndarray, weights: np.ndarray, many: bool
    ) -> float:
        average = self.average or ("macro" if many else "binary")
        if average == "binary":
            return area(scores[:, -1], hot[:, -1], weights)
        if average == "micro":
            return area(scores.reshape(-1), hot.reshape(-1), np.repeat(weights, scores.shape[1]))
        areas = np.array([area(s, h, weights) for s, h in zip(scores.T, hot.T, strict=True)])
        return float(np.average(areas, weights=self._shares(average, hot, weights)))

    def _one_against_one(self, scores: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> float:
        areas, shares = [], []
        for a, b in combinations(range(scores.shape[1]), 2):
            of_pair = (classes == a) | (classes == b)
            s, c, w = scores[of_pair], classes[of_pair], weights[of_pair]
            areas.append((area(s[:, a], c == a, w) + area(s[:, b], c == b, w)) / 2)
            shares.append(w.sum() if self.average == "weighted" else 1.0)
        return float(np.average(areas, weights=shares)) if sum(shares) else math.nan

    def _shares(self, average: str, hot: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
        return (hot * weights[:, None]).sum(axis=0) if average == "weighted" else None


def area(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Return the area under the ROC curve of scores (rows,); NaN if one of the two sides is empty.

    `truth` is (rows,) booleans. Rows are sorted by all their values, so their order changes no bit of the
    result.
    """
    if np.isnan(scores).any():
        return math.nan
    order = np.lexsort((weights, truth, scores))
    scores, weights, truth = scores[order], weights[order], truth[order]
    right = np.cumsum(np.where(truth, weights, 0.0))
    wrong = np.cumsum(np.where(truth, 0.0, weights))
    if not (len(scores) and right[-1] > 0 and wrong[-1] > 0):
        return math.nan
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    right, wrong = right[ends], wrong[ends]
    # twice the weight of the others below; ties count half
    below = np.concatenate([[0.0], wrong[:-1]]) + wrong
    return float((np.diff(right, prepend=0.0) * below).sum() / (2 * right[-1] * wrong[-1]))
