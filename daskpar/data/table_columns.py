"""Columns of tables by name or number, for transforms that treat each column by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskpar.data.records import Column, Features, is_records, kinds, texts
from daskpar.errors import InputError, unknown


def require_columns(transform: str, features: Features, example: np.ndarray) -> Features:
    """Return the columns of examples: of records, or of an array (rows, columns) with or without names.

    `example`: rows, or none, with the dtype and shape of the examples. Columns without names are called "0",
    "1", ... Raises InputError if the examples are not a table.
    """
    if is_records(example.dtype):
        return kinds(example.dtype)
    if example.ndim != 2:
        raise InputError(
            f"transform {transform}: expected a table (rows, columns), got examples of shape "
            f"{example.shape[1:]}"
        )
    count = example.shape[1]
    return features if len(features) == count else tuple(Column(str(i)) for i in range(count))


def places(transform: str, chosen: Sequence[str | int], table: Features) -> tuple[int, ...]:
    """Return the numbers (from 0) of columns that are chosen by name or number.

    Raises InputError for a column that is not there, with the nearest name.
    """
    names = [column.name for column in table]
    numbers = []
    for name in chosen:
        if isinstance(name, str):
            if name not in names:
                raise unknown(f"transform {transform}: column", name, names)
            numbers.append(names.index(name))
        elif 0 <= name < len(names):
            numbers.append(name)
        else:
            raise InputError(f"transform {transform}: column {name} of {len(names)}; they count from 0")
    return tuple(numbers)


def column(x: np.ndarray, names: Sequence[str], place: int) -> np.ndarray:
    """Return a column (rows,) of records with these `names`, or of an array (rows, columns) if ()."""
    return texts(x[names[place]]) if names else x[:, place]
