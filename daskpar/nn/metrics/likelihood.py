"""Metrics of the probability that a model assigns to the truth: log loss and perplexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.backend.kernels.reference.loss import log_softmax
from daskpar.nn.cross_entropy import BinaryCrossEntropy, SoftmaxCrossEntropy
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric, Sums, flat_weights
from daskpar.registry import register


@register("log_loss")
@dataclass(frozen=True)
class LogLoss(Metric):
    """Log loss: mean of -log(probability of the true class), with natural logarithms, in float64.

    It is the cross-entropy without label smoothing and class weights. For labels it is the mean over all of
    them. Probabilities are not clipped, so the loss of a prediction that is certain and wrong is very large.

    Args:
        name: Name in results. By keyword only. Default: "log_loss".

    Shape:
        - Outputs: (rows, ..., classes), or (rows, ..., labels).
        - Targets: as the loss expects them.

    Example:
        A model that predicts 50 % for both classes has a log loss of log(2):

        >>> import numpy as np
        >>> from daskpar import LogLoss, SoftmaxCrossEntropy
        >>> sums = LogLoss().sums(np.zeros((3, 2)), np.array([0, 1, 1]), SoftmaxCrossEntropy())
        >>> round(LogLoss().value(sums), 4)
        0.6931
    """

    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    larger_is_better: ClassVar[bool] = False

    @property
    def over_positions(self) -> str:
        return "sum"

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Sums:
        z, t = to_numpy(outputs).astype(np.float64), to_numpy(targets)
        terms = _of_labels(z, t, loss) if loss.task == "labels" else _of_classes(z, t, loss)
        each = flat_weights(weights, terms.size)
        if each is None:
            return float(terms.sum()), float(terms.size)
        return float((terms * each).sum()), float(each.sum())


@register("perplexity")
@dataclass(frozen=True)
class Perplexity(LogLoss):
    """Perplexity: exp(log loss), over all positions of all sequences.

    It is the number of equally likely classes that would have the same log loss.

    Args:
        name: Name in results. By keyword only. Default: "perplexity".

    Shape:
        - Outputs: (rows, ..., classes).
        - Targets: (rows, ...) integers, or (rows, ..., classes) probabilities.

    Example:
        A model that predicts the same probability for four words, at two positions:

        >>> import numpy as np
        >>> from daskpar import Perplexity, SoftmaxCrossEntropy
        >>> sums = Perplexity().sums(np.zeros((1, 2, 4)), np.array([[0, 3]]), SoftmaxCrossEntropy())
        >>> round(Perplexity().value(sums), 6)
        4.0
    """

    tasks: ClassVar[tuple[str, ...]] = ("classes",)
    undefined: ClassVar[str] = "there is nothing to average, or exp of the log loss overflows"

    def value(self, sums: Sums) -> float:
        try:
            return math.exp(sums[0] / sums[1]) if sums[1] else math.nan
        except OverflowError:
            return math.inf


def _of_classes(outputs: np.ndarray, targets: np.ndarray, loss: Loss) -> np.ndarray:
    """Return -log p of the true class (terms,). For probabilities as targets, the expectation of it."""
    if isinstance(loss, SoftmaxCrossEntropy):
        logs = log_softmax(outputs)
    else:
        logs = _log(loss.activate(outputs))
    if targets.ndim == outputs.ndim:
        return -(targets * logs).sum(axis=-1).reshape(-1)
    return -np.take_along_axis(logs, targets[..., None].astype(np.int64), axis=-1).reshape(-1)


def _of_labels(outputs: np.ndarray, targets: np.ndarray, loss: Loss) -> np.ndarray:
    """Return -log p of each label (terms,)."""
    t = targets.reshape(outputs.shape).astype(np.float64)
    if isinstance(loss, BinaryCrossEntropy):
        terms = np.maximum(outputs, 0) - outputs * t + np.log1p(np.exp(-np.abs(outputs)))
    else:
        share = loss.activate(outputs)
        terms = -t * _log(share) - (1 - t) * _log(1 - share)
    return terms.reshape(-1)


def _log(share: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(share, np.finfo(np.float64).tiny))
