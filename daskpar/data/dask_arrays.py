"""Sources over dask arrays and dataframes: tasks of their own graphs load the rows on the workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import uuid4

import numpy as np

from daskpar.data.check import as_array, as_examples, check_block, check_dtype, check_pair
from daskpar.data.described import source_text
from daskpar.data.frame_columns import features_of, frame_records
from daskpar.data.frames import common_dtype, dtypes_of
from daskpar.data.records import NUMBER, TEXT, Features, check_features
from daskpar.data.source import Rows, Source, class_numbers
from daskpar.data.sparse import Index, Stored
from daskpar.data.weights import WHAT, as_weights, one_a_row
from daskpar.errors import InputError

if TYPE_CHECKING:
    from dask.array import Array as DaskArray
    from dask.dataframe import DataFrame as DaskFrame
    from pandas import DataFrame as Frame

Key = tuple[str | int, ...]

BlockInfo = TypedDict(
    "BlockInfo", {"chunk-location": list[int], "chunk-shape": list[int], "dtype": np.dtype}, total=False
)
"""Facts about a block that dask.array passes to functions of blocks."""


@dataclass(frozen=True, eq=False)
class DaskArrays(Source):
    """Examples, targets and weights as dask arrays; nothing is computed until a task needs the rows.

    `weights`: None if all rows have weight 1. `token`: distinguishes this source from others.
    """

    x: Any
    y: Any
    weights: Any = None
    token: str = field(default_factory=lambda: uuid4().hex)
    features: Features = ()

    def __repr__(self) -> str:
        return source_text(self)

    def __hash__(self) -> int:
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DaskArrays) and other.token == self.token

    @property
    def rows(self) -> int:
        return self.x.shape[0]

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    @property
    def x_dtype(self) -> np.dtype:
        return self.x.dtype

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.y.shape[1:]

    @property
    def y_dtype(self) -> np.dtype:
        return self.y.dtype

    @property
    def weighted(self) -> bool:
        return self.weights is not None

    def blocks(self, rows: Rows) -> tuple[dict[Key, object], Key, Key]:
        """Return (graph, key of the examples, key of the targets) of some rows, each as one block."""
        graph, (x, y) = self._blocks(rows, self.x, self.y)
        return graph, x, y

    def target_blocks(self, rows: Rows) -> tuple[dict[Key, object], Key]:
        """Return (graph, key of the targets) of some rows, as one block."""
        graph, (y,) = self._blocks(rows, self.y)
        return graph, y

    def weight_blocks(self, rows: Rows) -> tuple[dict[Key, object], Key]:
        """Return (graph, key of the weights) of some rows, as one block."""
        graph, (weights,) = self._blocks(rows, self.weights)
        return graph, weights

    def _blocks(self, rows: Rows, *arrays: Any) -> tuple[dict[Key, object], list[Key]]:
        graph: dict[Key, object] = {}
        keys: list[Key] = []
        for array in arrays:
            block = array[rows].rechunk({axis: -1 for axis in range(array.ndim)})
            key = (block.name, *(0,) * block.ndim)
            graph.update(dict(block.__dask_graph__().cull({key})))
            keys.append(key)
        return graph, keys

    def labels(self) -> np.ndarray:
        return class_numbers(as_array(self.y.compute(), "train", "targets"))


class Column:
    """An array of a source (0: examples, 1: targets) that dask.array slices on the workers."""

    def __init__(self, source: Source, which: int):
        self.source, self.which = source, which
        array = source.arrays()[which]
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Index) -> np.ndarray:
        return self.source.arrays()[self.which][index]


def from_dask(
    x: Any,
    y: Any,
    hold: Callable[[Stored, Stored], Source] | None,
    where: str = "fit",
    known: Features = (),
    sample_weight: Any = None,
) -> DaskArrays:
    """Return a source over dask arrays, dataframes and series; one of `x`, `y` may be a plain array.

    `hold(x, y)` makes a source of a plain array, which keeps it out of the graph. None: the workers would not
    see it, and the array becomes part of the graph. `where` begins error
    messages. `known`: the columns of training, which those of a dataframe must equal. `sample_weight`
    (rows,): an array, a dask array, or None.

    Raises InputError for blocks of unknown length, other dtypes than numbers, and other columns than `known`.
    """
    import dask.array as da

    x, features = lazy_examples(x, where, known) if is_dask(x) else as_examples(x, where, known)
    y = checked_blocks(y, where, "targets") if is_dask(y) else as_array(y, where, "targets")
    check_pair(x, y, where, may_be_records=True)
    weights = None if sample_weight is None else _weights(sample_weight, x.shape[0], where)
    rows = next(part.chunks[0] for part in (x, y, weights) if isinstance(part, da.Array))
    if not isinstance(x, da.Array):
        held = x[:] if hold is None else Column(hold(x, _nothing(x)), 0)
        x = da.from_array(held, chunks=(rows, *x.shape[1:]))
    if not isinstance(y, da.Array):
        held = y if hold is None else Column(hold(_nothing(y), y), 1)
        y = da.from_array(held, chunks=(rows, *y.shape[1:]))
    if isinstance(weights, np.ndarray):
        held = weights if hold is None else Column(hold(_nothing(weights), weights), 1)
        weights = da.from_array(held, chunks=(rows,))
    return DaskArrays(x, y, weights, features=features)


def _weights(values: Any, rows: int, where: str) -> Any:
    """Return weights (rows,) as an array or a dask array; its values are checked when they are loaded."""
    if is_dask(values):
        return one_a_row(checked_blocks(values, where, WHAT), rows, where)
    return as_weights(values, rows, where)


def lazy_examples(x: Any, where: str, known: Features = ()) -> tuple[DaskArray, Features]:
    """Return a dask array of numbers or of records (rows,), and the columns of a dask dataframe.

    `known`: the columns that a model was trained on; those of a dataframe must equal them. Raises InputError.
    """
    frame = x if hasattr(type(x), "to_dask_array") and x.ndim == 2 else None
    if frame is None:
        return checked_blocks(x, where), ()
    features = features_of(frame._meta, where, known, lazy=True)
    check_features(known, features, where)
    if all(column.kind == NUMBER for column in features):
        return checked_blocks(frame, where), features
    return _record_blocks(frame, features, where), features


def _record_blocks(frame: DaskFrame, features: Features, where: str) -> DaskArray:
    """Return the rows of a dask dataframe as records, one block for each partition."""
    import dask.array as da

    lengths = [int(n) for n in frame.map_partitions(len).compute()]  # dask does not know the lengths
    like = np.empty(0, _record_dtype(features))
    blocks = [
        da.from_delayed(part, (length,), meta=like)
        for part, length in zip(
            frame.map_partitions(_records, features, where, meta=("records", object)).to_delayed(),
            lengths,
            strict=True,
        )
    ]
    return da.concatenate(blocks)


def _records(frame: Frame, features: Features, where: str) -> np.ndarray:
    """Return a partition as records, after comparing its columns: only values show the kind of objects."""
    check_features(features, features_of(frame, where, features), where)
    return frame_records(frame, features, where, objects=True).astype(_record_dtype(features))


def _record_dtype(features: Features) -> np.dtype:
    """Return the dtype of records, the same for all partitions: texts are Python objects."""
    return np.dtype([(column.name, "O" if column.kind == TEXT else "f8") for column in features])


def _nothing(rows: Sized) -> np.ndarray:
    """Return as many rows without columns, since `hold` expects a pair of arrays."""
    return np.empty((len(rows), 0))


def checked_blocks(part: DaskFrame | DaskArray, where: str, what: str = "examples") -> DaskArray:
    """Return a dask array, dataframe or series as a dask array whose blocks are checked when they are loaded.

    See `daskpar.data.check.check_block`. Raises InputError for an unknown length, and for other dtypes than
    numbers.
    """
    import dask.array as da

    if hasattr(type(part), "to_dask_array"):
        part = _numbers(part, where, what).to_dask_array(lengths=True)  # counts the rows
    if not isinstance(part, da.Array) and isinstance(getattr(part, "data", None), da.Array):
        part = part.data  # an array of xarray
    if not isinstance(part, da.Array):
        raise InputError(f"{where}: expected a dask array, dataframe or series, got {type(part).__name__}")
    if any(math.isnan(n) for n in part.shape):
        raise InputError(
            f"{where}: a dask array of unknown length {part.shape}; call compute_chunk_sizes() first"
        )
    if not part.shape:
        raise InputError(f"{where}: {what} must have an axis of rows, got a single value")
    labels = what == "targets" and part.dtype.kind in "OST"  # the blocks show what objects are
    if not labels:
        check_dtype(part.dtype, where, what)
    dtype = part.dtype.newbyteorder("=")
    return part.map_blocks(_checked, where, what, dtype=dtype, meta=np.empty((0,) * part.ndim, dtype))


def _checked(block: object, where: str, what: str, block_info: Mapping[int | None, BlockInfo]) -> np.ndarray:
    place, declared = block_info[0]["chunk-location"], block_info[None]
    return check_block(block, where, what, tuple(place), tuple(declared["chunk-shape"]), declared["dtype"])


def _numbers(frame: DaskFrame, where: str, what: str) -> DaskFrame:
    """Return a dask frame or series whose columns all hold numbers of one dtype, or labels for targets."""
    meta = frame._meta
    columns = dtypes_of(meta)
    dtype = common_dtype(columns, where, what, labels=what == "targets" and len(columns) == 1)
    if dtype is None:
        return frame.astype(object)  # dask would do the same for strings, with a warning
    if all(column == dtype for column in columns.values()):
        return frame
    nullable = not all(isinstance(column, np.dtype) for column in columns.values())
    return frame.map_partitions(_as_floats if nullable else _as_dtype, dtype)


def _as_dtype(frame: Frame, dtype: np.dtype) -> Frame:
    return frame.astype(dtype)


def _as_floats(frame: Frame, dtype: np.dtype) -> Frame:
    """Return the frame as floats, with missing values as NaN."""
    wide = np.result_type(dtype, np.float64)
    values = frame.to_numpy(dtype=wide, na_value=np.nan)
    named = {"name": frame.name} if frame.ndim == 1 else {"columns": frame.columns}
    return type(frame)(values, index=frame.index, **named)


def is_dask(value: object) -> bool:
    """Return whether `value` is a dask array, dataframe or series, or an xarray array over one."""
    return hasattr(value, "__dask_graph__") and value.__dask_graph__() is not None
