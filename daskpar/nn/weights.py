"""Weights of examples: sums and means over rows that do not all count alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from inspect import signature

import numpy as np

from daskpar.backend.array import Array, array_module


@cache
def takes_weights(function: Callable[..., object]) -> bool:
    """Return whether a function has an argument `weights`."""
    return "weights" in signature(function).parameters


def mean_over_outputs(each: Array, slope: Array, weights: Array | None = None) -> tuple[float, float, Array]:
    """Return (loss_sum, weight_sum, gradient) of a loss that is the mean over the outputs of an example.

    Args:
        each: (rows, ...) loss of each output.
        slope: (rows, ...) derivative of each.
        weights: (rows,) weights of the examples. None weighs all alike. Default: None.
    """
    weight_sum = float(each.shape[0])
    share = 1 / max(1, math.prod(each.shape[1:]))
    if weights is not None:
        weight_sum, of_rows = total_weight(weights), by_rows(weights, each)
        each, slope = each * of_rows, slope * of_rows
    return float(array_module(each).sum(each)) * share, weight_sum, slope * share


def by_rows(weights: Array, values: Array) -> Array:
    """Return weights (rows,) with as many axes as `values` (rows, ...), ready to be multiplied with them."""
    return weights.reshape(-1, *(1,) * (values.ndim - 1))


def total_weight(weights: Array) -> float:
    """Return the sum of weights (rows,), in float64."""
    return float(array_module(weights).sum(weights, dtype=np.float64))
