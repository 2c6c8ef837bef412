"""Columns of tables by name or number, for transforms that treat them apart: arrays and records alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskpar.data.records import Column, Features, is_records, kinds, texts
from daskpar.errors import InputError, unknown


def require_columns(transform: str, features: Features, example: np.ndarray) -> Features:
    """Return the columns of examples: of records, or of an array (rows, columns) with or without names.

    `example`: some rows, of which dtype and shape are looked at. Raises InputError for other shapes.
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
    """Return the numbers of columns that are named, or given by number.

    Raises InputError for one that is not there, with the nearest name.
    """
    names = [column.name for column in table]
    found = []
    for name in chosen:
        if isinstance(name, str):
            if name not in names:
                raise unknown(f"transform {transform}: column", name, names)
            found.append(names.index(name))
        elif 0 <= name < len(names):
            found.append(name)
        else:
            raise InputError(f"transform {transform}: column {name} of {len(names)}; they count from 0")
    return tuple(found)


def column(x: np.ndarray, names: Sequence[str], place: int) -> np.ndarray:
    """Return a column (rows,) of records that have `names`, or of an array (rows, columns) without."""
    return texts(x[names[place]]) if names else x[:, place]
