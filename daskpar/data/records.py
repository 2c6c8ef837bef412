"""Records: rows with named columns of numbers and of texts, from frames and tables.

age   city     smoker        a structured array of NumPy: float64, text, bool
31.0  Lyon     True          a missing number is NaN, a missing text is `MISSING`
NaN   (none)   False

If all columns are numbers, examples are a plain array (rows, columns). With a column of texts among them they
are records (rows,), which stay on the host until transforms have encoded the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from daskpar.errors import InputError, shown

MISSING = "\uffff"
"""The text for a missing value: a noncharacter (Unicode 16, section 23.7)."""
NUMBER, TEXT = "number", "text"


class Column(NamedTuple):
    """A column: its name, and its kind, "number" (also for bools) or "text" (also for categories)."""

    name: str
    kind: str = NUMBER


Features = tuple[Column, ...]
"""The columns of examples, in order; () if they have no names."""


def is_records(dtype: DTypeLike) -> bool:
    """Return whether a dtype has named fields."""
    return np.dtype(dtype).names is not None


def to_records(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return records (rows,) with these columns, each (rows,)."""
    dtype = np.dtype([(name, values.dtype) for name, values in columns.items()])
    records = np.empty(len(next(iter(columns.values()))), dtype)
    for name, values in columns.items():
        records[name] = values
    return records


def kinds(dtype: DTypeLike) -> Features:
    """Return the columns of records."""
    record = np.dtype(dtype)
    return tuple(Column(name, TEXT if record[name].kind in "UO" else NUMBER) for name in record.names or ())


def texts(values: np.ndarray) -> np.ndarray:
    """Return a column of texts (rows,) in a text dtype; blocks of dask arrays have Python objects."""
    return values.astype(str) if values.dtype.kind == "O" else values


def names_of(features: Features, kind: str) -> tuple[str, ...]:
    """Return the names of the columns of a kind."""
    return tuple(column.name for column in features if column.kind == kind)


def numbers(records: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return columns of numbers (rows, columns) in float64."""
    columns = np.empty((len(records), len(names)))
    for i, name in enumerate(names):
        columns[:, i] = records[name]
    return columns


def with_numbers(records: np.ndarray, names: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Return records with new numbers (rows, columns) in the columns `names`, which become float64."""
    dtype = [(name, "f8" if name in names else records.dtype[name]) for name in records.dtype.names or ()]
    changed = np.empty(len(records), dtype)
    for name in records.dtype.names or ():
        changed[name] = values[:, names.index(name)] if name in names else records[name]
    return changed


def from_rows(values: object, features: Features, where: str) -> np.ndarray:
    """Return records (rows,) of rows (rows, columns) of Python objects, in the order of `features`.

    None and NaN are missing values. Raises InputError, which begins with `where`, for another number of
    columns, and for values of another kind.
    """
    rows = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if rows.ndim != 2 or rows.shape[1] != len(features):
        raise InputError(
            f"{where}: examples of shape {rows.shape[1:]}, the model was trained on {len(features)} columns: "
            f"{listed_names(features)}"
        )
    return to_records({c.name: _column(rows[:, i], c, where) for i, c in enumerate(features)})


def _column(values: np.ndarray, column: Column, where: str) -> np.ndarray:
    missing = np.array([value is None or value != value for value in values.tolist()], dtype=bool)
    if column.kind == TEXT:
        for value in values[~missing]:
            if not isinstance(value, str):
                raise InputError(
                    f"{where}: column {column.name!r} held texts in training, now {shown(value)}"
                )
        return np.where(missing, MISSING, values).astype(str)
    try:
        return np.where(missing, np.nan, values).astype(np.float64)
    except (TypeError, ValueError):
        strange = next(value for value in values[~missing].tolist() if not isinstance(value, int | float))
        raise InputError(
            f"{where}: column {column.name!r} held numbers in training, now {shown(strange)}"
        ) from None


def check_features(known: Features, features: Features, where: str) -> None:
    """Refuse columns other than those of training, or in another order; columns without names are accepted.

    Raises InputError, which begins with `where` and names the first difference.
    """
    if not known or not features:
        return
    old, new = [column.name for column in known], [column.name for column in features]
    missing = [name for name in old if name not in new]
    strange = [name for name in new if name not in old]
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        near = f"; there is {strange[0]!r} that training did not have" if strange else ""
        raise InputError(f"{where}: column {missing[0]!r}{more} missing, which training had{near}")
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise InputError(f"{where}: column {strange[0]!r}{more} was not there in training; drop it")
    for place, (was, now) in enumerate(zip(old, new, strict=True)):
        if was != now:
            raise InputError(
                f"{where}: column {place} is {now!r} where training had {was!r}; give the columns in the "
                "order of training, e.g. frame[trainer.feature_names_in_]"
            )
    for column, other in zip(known, features, strict=True):
        if column.kind != other.kind:
            raise InputError(
                f"{where}: column {column.name!r} held {column.kind}s in training, now {other.kind}s; "
                "convert it back"
            )


def listed_names(features: Features) -> str:
    """Return the names of at most eight columns, for a message."""
    return ", ".join(repr(column.name) for column in features[:8]) + (", ..." if len(features) > 8 else "")
