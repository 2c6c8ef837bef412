"""The columns of a pandas frame: their names and kinds, and records made of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daskpar.data.records import MISSING, NUMBER, TEXT, Column, Features, to_records
from daskpar.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_OBJECTS = {  # pandas' name of the type of a column of objects: its kind
    "string": TEXT,
    "boolean": NUMBER,
    "integer": NUMBER,
    "floating": NUMBER,
    "mixed-integer-float": NUMBER,
    "decimal": NUMBER,
}
_EMPTY = "empty"


def features_of(frame: DataFrame, where: str, known: Features = (), lazy: bool = False) -> Features:
    """Return the names and kinds of the columns of a frame.

    () if all columns hold numbers and the names are not unique texts, e.g. 0, 1, 2. `known`: the columns of
    training; a column without any value has the kind it had there. `lazy`: the frame is an empty example of a
    dask dataframe, so columns of objects count as texts.

    Raises InputError, which names the columns, for other kinds, e.g. dates.
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
    for i, column in enumerate(columns):  # a column without values has the kind of training
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
    """Return the kind of a column: `number`, `text` or `empty`, or the name of another type."""
    from pandas.api import types

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        inferred = "string" if lazy else types.infer_dtype(column, skipna=True)
        return _OBJECTS.get(inferred, inferred)
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
    """Return a frame of numbers with its columns of objects (numbers or None) as float64."""
    objects = [i for i, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    if not objects:
        return frame
    frame = frame.copy(deep=False)
    for i in objects:
        frame.isetitem(i, frame.iloc[:, i].astype(np.float64))
    return frame


def frame_records(frame: DataFrame, features: Features, where: str, objects: bool = False) -> np.ndarray:
    """Return the rows of a frame as records (rows,).

    `objects`: texts are Python objects, so that all partitions of a dask dataframe have one dtype. Raises
    InputError if a column is of another kind than in `features`.
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
    """Return a column (rows,) of texts or categories as Python texts; `MISSING` for a missing one."""
    from pandas import factorize

    codes, values = factorize(column)
    return np.array([*map(str, values), MISSING], object)[codes]  # code -1 is a missing value
