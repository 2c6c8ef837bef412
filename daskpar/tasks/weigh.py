"""Tasks that sum the weights of rows, all together or class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.backend.array import Array
from daskpar.data.splits import Split
from daskpar.data.transforms import Fitted
from daskpar.data.weights import count_classes, one_a_row, refused
from daskpar.errors import InputError
from daskpar.tasks.load import positions

Weighed = dict[int, float]
"""The sum of weights by the number of a class."""


def weigh_data(part: Split, where: tuple[Any, ...], targets: Sequence[Fitted], by_class: bool) -> Weighed:
    """The sum of the weights of some rows of a part, as `weigh_rows` has it; `where` as for `positions`."""
    y = part.read_targets(positions(where)) if by_class else None
    return weigh_rows(part.name, targets, y, part.read_weights(positions(where)))


def weigh_rows(name: str, targets: Sequence[Fitted], y: Array, weights: Array | None) -> Weighed:
    """The sum of the weights of rows by class: of targets `y` as they are stored; None: of all as one.

    Rows without weights are counted.
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
