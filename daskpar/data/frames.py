"""Frames and series of pandas, polars, Arrow and xarray as arrays of numbers, or as records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np

from daskpar.data.frame_columns import features_of, frame_records, without_objects
from daskpar.data.records import TEXT, Features, check_features
from daskpar.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Dtypes = Mapping[str | int, object]
"""The dtypes of columns, of NumPy or another library, by name, or by number if a name is not unique."""


class Frame(Protocol):
    """A frame or series of pandas, of polars or Arrow, or an array of xarray."""

    @property
    def data(self) -> object:
        """The array of xarray's DataArray."""
        ...

    def to_pandas(self) -> object:
        """Return the same as a pandas frame or series."""
        ...


def is_frame(values: object) -> TypeGuard[Frame]:
    """Return whether `values` is a frame or series of any library, or an array of xarray."""
    if _is_pandas(values):
        return True
    kinds = ("DataFrame", "Series", "Table", "ChunkedArray", "DataArray", "Dataset", "LazyFrame")
    return type(values).__name__ in kinds and not hasattr(values, "__array_namespace__")


def from_frame(values: Frame, where: str, what: str, known: Features = ()) -> tuple[object, Features]:
    """Return the numbers of a frame (rows, columns) or series (rows,), and the columns of the frame.

    Examples with columns of texts or categories become records (`daskpar.data.records`). Targets of one
    column may be labels. Bools and nullable integers become numbers, missing values NaN. `known`: the columns
    that a model was trained on.

    Raises InputError for columns with other values, and for other columns than the known ones; it names them.
    """
    kind = type(values).__name__
    if kind == "Dataset" or kind == "LazyFrame":
        raise InputError(f"{where}: {what} are a {kind}; pass one array, e.g. .to_array() or .collect()")
    if kind == "DataArray":
        return values.data, ()
    frame = values if _is_pandas(values) else _to_pandas(values)
    if not _is_pandas(frame):
        return frame, ()  # pandas is not installed; NumPy converts it
    if what != "examples" or frame.ndim == 1:
        return _numbers(frame, where, what), ()
    features = features_of(frame, where, known)
    check_features(known, features, where)
    if any(column.kind == TEXT for column in features):
        return frame_records(frame, features, where), features
    return _numbers(without_objects(frame), where, what), features


def _numbers(values: DataFrame | Series, where: str, what: str) -> np.ndarray:
    """Return the numbers or labels of a frame or series of pandas."""
    columns = dtypes_of(values)
    dtype = common_dtype(columns, where, what, labels=what == "targets" and len(columns) == 1)
    if dtype is None:
        labels = values.iloc[:, 0] if values.ndim == 2 else values
        if hasattr(labels, "cat"):
            labels = labels.astype(labels.cat.categories.dtype)
        return labels.to_numpy(dtype=None if isinstance(labels.dtype, np.dtype) else object)
    series = [values] if values.ndim == 1 else [values.iloc[:, i] for i in range(values.shape[1])]
    if any(_has_missing(column) for column in series):
        dtype = np.result_type(dtype, np.float16 if dtype.kind == "f" else np.float64)
    return (
        values.to_numpy(dtype=dtype, na_value=np.nan) if dtype.kind == "f" else values.to_numpy(dtype=dtype)
    )


def dtypes_of(frame: DataFrame | Series) -> Dtypes:
    """Return the dtypes of the columns of a frame by name; the name of a series is ""."""
    if frame.ndim == 1:
        return {"": frame.dtype}
    names = [str(name) if list(frame.columns).count(name) == 1 else i for i, name in enumerate(frame.columns)]
    return dict(zip(names, frame.dtypes, strict=True))


def common_dtype(columns: Dtypes, where: str, what: str, labels: bool = False) -> np.dtype | None:
    """Return the dtype that can represent the numbers of all columns.

    None for a single column of `labels` that are not numbers. Raises InputError for other columns.
    """
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    others = {n: d for n, d in columns.items() if not is_numeric_dtype(d) or is_complex_dtype(d)}
    if others and labels:
        return None
    if others:
        named = ", ".join(f"{name!r} ({dtype})".removeprefix("'' ") for name, dtype in others.items())
        raise InputError(
            f"{where}: expected numbers, got {what} with columns {named[:300]}; encode them, e.g. with "
            "pandas.get_dummies(frame, dtype=float) or .cat.codes, or drop them"
        )
    if not columns:
        raise InputError(f"{where}: {what} are a frame without columns")
    return np.result_type(*(_numpy_dtype(dtype) for dtype in columns.values()))


def _numpy_dtype(dtype: object) -> np.dtype:
    """Return the NumPy dtype of a column of numbers: int64 for Int64, int64[pyarrow] and Sparse[int64]."""
    for name in ("numpy_dtype", "subtype"):
        inner = getattr(dtype, name, None)
        if isinstance(inner, np.dtype) and inner.kind in "fiub":
            return inner
    if isinstance(dtype, np.dtype):
        return dtype
    return np.dtype(np.float64)


def _has_missing(column: Series) -> bool:
    return not isinstance(column.dtype, np.dtype) and bool(column.isna().any())


def _is_pandas(values: object) -> TypeGuard[DataFrame | Series]:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(values, pandas.DataFrame | pandas.Series)


def _to_pandas(values: Frame) -> object:
    try:
        return values.to_pandas()
    except Exception:  # pandas or pyarrow is missing, or the method means something else
        return values.to_numpy() if hasattr(values, "to_numpy") else values
