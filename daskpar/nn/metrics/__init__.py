"""Metrics: scores besides the loss. Each file holds one kind and registers its metrics."""

# isort: off
from daskpar.nn.metrics.metric import METRICS, Metric, Sums
from daskpar.nn.metrics.classes import Accuracy, Confusion, TopK
from daskpar.nn.metrics.numbers import R2, RMSE
from daskpar.nn.metrics.counts import F1, Counted, Precision, Recall
from daskpar.nn.metrics.likelihood import LogLoss, Perplexity
from daskpar.nn.metrics.rows import Gathered
from daskpar.nn.metrics.auc import AUC

# isort: on
__all__ = [
    "AUC",
    "F1",
    "METRICS",
    "R2",
    "RMSE",
    "Accuracy",
    "Confusion",
    "Counted",
    "Gathered",
    "LogLoss",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "Sums",
    "TopK",
]
