"""Tasks that sum the weights of rows, in all or by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.backend.array import Array
from daskpar.data.splits import Split
from daskpar.data.transforms import Fitted
from daskpar.data.weights import count_classes, one_a_row, refused
from daskpar.errors import InputError
from daskpar.tasks.load import row_numbers

Weighed = dict[int, float]
"""The sum of weights by class number."""


def weigh_data(split: Split, where: tuple[Any, ...], targets: Sequence[Fitted], by_class: bool) -> Weighed:
    """Sum the weights of rows of a split; see `weigh_rows`. `where` is as for `row_numbers`."""
    y = split.read_targets(row_numbers(where)) if by_class else None
    return weigh_rows(split.name, targets, y, split.read_weights(row_numbers(where)))


def weigh_rows(name: str, targets: Sequence[Fitted], y: Array, weights: Array | None) -> Weighed:
    """Sum the weights of rows by class.

    Args:
        name: Name of the split, for messages.
        targets: Transforms of targets, already fitted.
        y: Targets (rows, ...) as they are stored; None for one sum over all rows.
        weights: Weights (rows,); None counts the rows.

    Raises:
        InputError: Weights that are negative or not finite, or not one for each row.
    """
    where = f"{name} data"
    if weights is not None:
        weights = one_a_row(weights, len(weights) if y is None else len(y), where)
        fault = refused(weights)
        if fault is not None:
            raise InputError(f"{where}: {fault}")
    if y is None:
        assert weights is not None, "rows without weights are counted by class"
        return {0: float(weights.sum(dtype=np.float64))}
    for fitted in targets:
        y = fitted.apply(y)
    return count_classes(y, weights, where)
