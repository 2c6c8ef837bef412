"""The columns of a frame of pandas: their names and kinds, and records made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daskpar.data.records import MISSING, NUMBER, TEXT, Column, Features, to_records
from daskpar.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_OBJECTS = {  # pandas' names of what a column of objects holds
    "string": TEXT,
    "boolean": NUMBER,
    "integer": NUMBER,
    "floating": NUMBER,
    "mixed-integer-float": NUMBER,
    "decimal": NUMBER,
}
_EMPTY = "empty"


def features_of(frame: DataFrame, where: str, known: Features = (), lazy: bool = False) -> Features:
    """Return the names and kinds of a frame's columns.

    Nothing where all hold numbers and the names are no texts of their own each, e.g. numbers. `known`: the
    columns of training, whose kind a column without any value takes. `lazy`: the frame is an empty example
    of what is yet to come, so columns of objects count as texts.

    Raises InputError that names the columns of anything else, e.g. dates.
    """
    names = [str(name) for name in frame.columns]
    trained = {column.name: column.kind for column in known}
    columns = [frame.iloc[:, i] for i in range(len(names))]
    kinds = [_kind(column, lazy) for column in columns]
    strange = [i for i, kind in enumerate(kinds) if kind not in (NUMBER, TEXT, _EMPTY)]
    if strange:
        unique = all(names.count(names[i]) == 1 for i in strange)
        named = ", ".join(f"{names[i]!r} ({columns[i].dtype})" if unique else str(i) for i in strange)
        raise InputError(
            f"{where}: expected numbers or texts, got examples with columns {named[:300]}; "
            f"{_advice([kinds[i] for i in strange])}, or drop them"
        )
    kinds = [_settled(kind, trained.get(name)) for kind, name in zip(kinds, names, strict=True)]
    for i, column in enumerate(columns):  # a column of no value has no kind of its own
        if kinds[i] != trained.get(names[i], kinds[i]) and bool(column.isna().all()) and not lazy:
            kinds[i] = trained[names[i]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if TEXT in kinds and twice is not None:
        raise InputError(
            f"{where}: two columns of the frame are called {twice!r}; columns need names of their own"
        )
    if TEXT not in kinds and (twice is not None or not all(isinstance(name, str) for name in frame.columns)):
        return ()
    return tuple(Column(name, kind) for name, kind in zip(names, kinds, strict=True))


def _settled(kind: str, trained: str | None) -> str:
    return (trained or NUMBER) if kind == _EMPTY else kind


def _kind(column: Series, lazy: bool) -> str:
    """Return the kind of a column: `number`, `text`, `empty`, or pandas' name of something else."""
    from pandas.api import types

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        held = "string" if lazy else types.infer_dtype(column, skipna=True)
        return _OBJECTS.get(held, held)
    if type(dtype).__name__ == "CategoricalDtype" or types.is_string_dtype(dtype):
        return TEXT
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return NUMBER
    return "complex" if types.is_complex_dtype(dtype) else "date"


def _advice(kinds: list[str]) -> str:
    if any(kind.startswith(("date", "period", "timedelta", "time")) for kind in kinds):
        return "dates become numbers by, e.g., (frame['day'] - frame['day'].min()).dt.days"
    return "give numbers, e.g. .astype(float)"


def without_objects(frame: DataFrame) -> DataFrame:
    """Return a frame whose columns of objects, which hold numbers or None, are float64."""
    objects = [i for i, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    if not objects:
        return frame
    frame = frame.copy(deep=False)
    for i in objects:
        frame.isetitem(i, frame.iloc[:, i].astype(np.float64))
    return frame


def frame_records(frame: DataFrame, features: Features, where: str, objects: bool = False) -> np.ndarray:
    """Return the rows of a frame as records. With `objects`, texts are Python's: their length may differ.

    Raises InputError where a column is of another kind than `features` says.
    """
    columns = {}
    for i, feature in enumerate(features):
        column = frame.iloc[:, i]
        if feature.kind == NUMBER:
            columns[feature.name] = _numbers(column, feature.name, where)
        else:
            texts = _texts(column)
            columns[feature.name] = texts if objects else texts.astype(str)
    return to_records(columns)


def _numbers(column: Series, name: str, where: str) -> np.ndarray:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return column.to_numpy()
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: column {name!r} holds values that are no numbers ({column.dtype})"
        ) from None


def _texts(column: Series) -> np.ndarray:
    """Return the texts of a column (rows,) as Python's, categories as texts; those that are missing, too."""
    from pandas import factorize

    codes, values = factorize(column)
    return np.array([*map(str, values), MISSING], object)[codes]  # -1 is missing
