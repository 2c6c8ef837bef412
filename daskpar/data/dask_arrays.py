"""Data that already are dask arrays: their own graph loads them, wherever they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np

from daskpar.data.source import Rows, Source, check_pair
from daskpar.errors import InputError


@dataclass(frozen=True, eq=False)
class DaskArrays(Source):
    """Examples and targets as dask arrays. Only `blocks` reads them, as tasks; nothing is computed here."""

    x: Any
    y: Any
    token: str = field(default_factory=lambda: uuid4().hex)

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
    def x_dtype(self) -> Any:
        return self.x.dtype

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.y.shape[1:]

    @property
    def y_dtype(self) -> Any:
        return self.y.dtype

    def blocks(self, rows: Rows) -> tuple[dict[Any, Any], Any, Any]:
        """(graph, key of the examples, key of the targets) for `rows`, each as one block."""
        graph: dict[Any, Any] = {}
        keys = []
        for array in (self.x, self.y):
            block = array[rows].rechunk({axis: -1 for axis in range(array.ndim)})
            key = (block.name, *(0,) * block.ndim)
            graph.update(dict(block.__dask_graph__().cull({key})))
            keys.append(key)
        return graph, keys[0], keys[1]

    def labels(self) -> np.ndarray:
        if self.y.ndim != 1 or self.y.dtype.kind not in "iu":
            raise InputError(f"distribution stratified needs integer classes; the targets are {self.y.dtype}")
        return np.asarray(self.y.compute())


class Column:
    """One of the arrays of a source (0: examples, 1: targets), for dask.array to slice on the workers."""

    def __init__(self, source: Source, which: int):
        self.source, self.which = source, which
        array = source.arrays()[which]
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.source.arrays()[self.which][index]


def from_dask(x: Any, y: Any, hold: Callable[[Any, Any], Source], where: str = "fit") -> DaskArrays:
    """A source over dask arrays, or dask dataframes and series.

    Where one of the two is a plain array, `hold(array, array)` keeps it outside of the graph.
    """
    import dask.array as da

    x, y = (as_array(part, where) for part in (x, y))
    x, y = (part if isinstance(part, da.Array) else np.asarray(part) for part in (x, y))
    check_pair(x, y, where)
    if not isinstance(y, da.Array):
        y = da.from_array(Column(hold(y, y), 1), chunks=(x.chunks[0], *y.shape[1:]))
    if not isinstance(x, da.Array):
        x = da.from_array(Column(hold(x, x), 0), chunks=(y.chunks[0], *x.shape[1:]))
    return DaskArrays(x, y)


def as_array(part: Any, where: str) -> Any:
    """A dask array from a dask array, dataframe or series; anything else as it is."""
    import dask.array as da

    if hasattr(type(part), "to_dask_array"):  # dask.dataframe: lengths of partitions must be counted
        part = part.to_dask_array(lengths=True)
    if is_dask(part) and not isinstance(part, da.Array):
        raise InputError(f"{where}: expected a dask array, dataframe or series, got {type(part).__name__}")
    if any(math.isnan(n) for n in getattr(part, "shape", ())):
        raise InputError(
            f"{where}: a dask array of unknown length {part.shape}; call compute_chunk_sizes() first"
        )
    return part


def is_dask(value: Any) -> bool:
    """Whether `value` is a dask array, dataframe or series."""
    return hasattr(value, "__dask_graph__")
