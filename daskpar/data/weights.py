"""Weights of rows (`sample_weight`) and of classes (`class_weight`).

A row of weight 2 counts as two rows of weight 1, and a row of weight 0 as none. Loss and metrics are weighted
means, Σ w·value / Σ w, so a common factor of all weights changes nothing. Chunks carry the weights of their
rows from the source to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from daskpar.backend.array import Array, array_module, is_floating
from daskpar.data.check import as_array
from daskpar.errors import InputError, shown

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

WHAT = "sample weights"
BALANCED = "balanced"


def as_weights(values: object, rows: int, where: str) -> np.ndarray:
    """Return weights (rows,) as an array, from a list, a Series, or a column (rows, 1).

    Raises InputError, which begins with `where`, for another shape, for NaN, infinite or negative values, and
    if all are zero.
    """
    weights = one_a_row(np.asarray(as_array(values, where, WHAT)[:]), rows, where)
    fault = refused(weights)
    if fault is not None:
        raise InputError(f"{where}: {fault}")
    if not weights.any():
        raise all_zero(where)
    return weights


def one_a_row(weights: Array | DaskArray, rows: int, where: str) -> Array:
    """Return weights as (rows,). Raises InputError for another shape."""
    if weights.shape == (rows, 1):
        weights = weights.reshape(rows)
    if weights.shape != (rows,):
        raise InputError(
            f"{where}: {WHAT} of shape {weights.shape} for {rows} rows of examples; expected one number a row"
        )
    return weights


def refused(weights: Array) -> str | None:
    """Return the fault of weights (rows,) for a message; None if they can be used."""
    xp = array_module(weights)
    if is_floating(weights) and not bool(xp.isfinite(weights).all()):
        return f"NaN or infinite values in the {WHAT}; give each row a number from 0 on"
    if len(weights) and bool(xp.min(weights) < 0):
        least = float(xp.min(weights))
        return f"negative values in the {WHAT}, the least {least:g}; expected numbers from 0 on"
    return None


def all_zero(where: str) -> InputError:
    """Return the error for weights that are all 0."""
    return InputError(f"{where}: the {WHAT} of all rows are 0; give at least one row a weight above 0")


def classes_of(targets: Array, where: str) -> Array:
    """Return the class of each row (rows,) from class numbers (rows,) or (rows, 1), or from one-hot rows.

    Raises InputError for targets that are not one class for each row.
    """
    xp = array_module(targets)
    if targets.ndim > 1 and targets.shape[1:] != (1,):
        if targets.ndim == 2 and bool(xp.all(xp.max(targets, axis=1) == 1)):
            return xp.argmax(targets, axis=1)
    else:
        numbers = targets.reshape(-1)
        if not is_floating(numbers) or bool(xp.all((numbers == 0) | (numbers == 1))):
            return numbers.astype(np.int64)
    raise InputError(f"{where}: class_weight needs one class a row; the targets are {targets.dtype} numbers")


def count_classes(targets: np.ndarray, weights: np.ndarray | None, where: str) -> dict[int, float]:
    """Return the sum of the weights of its rows for each class that occurs. Raises InputError.

    `weights`: (rows,), or None if all rows have weight 1.
    """
    classes = classes_of(targets, where)
    sums = np.bincount(classes, None if weights is None else weights.astype(np.float64))
    return {int(number): float(sums[number]) for number in np.unique(classes)}


def balanced(counts: Mapping[int, float], classes: int) -> tuple[float, ...]:
    """Return class weights that give all classes the same total: Σ counts / (classes · count).

    They equal scikit-learn's "balanced" ones. A class that does not occur has the weight 1.

    >>> from daskpar.data.weights import balanced
    >>> balanced({0: 30.0, 1: 10.0}, 2)
    (0.6666666666666666, 2.0)
    """
    occur = {number: count for number, count in counts.items() if count}
    total = sum(occur.values())
    return tuple(
        total / (len(occur) * occur[number]) if number in occur else 1.0 for number in range(classes)
    )


def checked_class_weight(value: object) -> object:
    """Return a checked `class_weight`: None, "balanced", or a mapping from labels to weights.

    Raises InputError for other values, and for weights that are negative, not finite, or all zero.
    """
    if value is None or (isinstance(value, str) and value == BALANCED):
        return value
    if not isinstance(value, Mapping) or not value:
        raise InputError(
            f'train.class_weight={shown(value, 80)}: expected "balanced", or a mapping from labels to '
            "weights, e.g. {0: 1, 1: 5}"
        )
    weights: dict[object, float] = {}
    for label, weight in value.items():
        real = isinstance(weight, Real) and not isinstance(weight, bool | np.bool_)
        if not real or not 0 <= float(weight) < math.inf:
            raise InputError(
                f"train.class_weight: the weight of {shown(label, 40)} is {shown(weight, 40)}; expected a "
                "number from 0 on"
            )
        weights[label.item() if isinstance(label, np.generic) else label] = float(weight)
    if not any(weights.values()):
        raise InputError("train.class_weight: all weights are 0; give at least one class a weight above 0")
    return weights
