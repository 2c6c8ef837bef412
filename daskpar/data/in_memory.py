"""NumPy arrays given from Python.

Arrays never travel inside a graph. Where workers are threads of this process the graph carries a token, and
the arrays stay where they are; for workers elsewhere they are written once to `.npy` files, which every
worker maps into memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, cast
from uuid import uuid4

import numpy as np

from daskpar.data.check import as_array, as_examples, check_pair
from daskpar.data.files import Npy, open_npy, stamp
from daskpar.data.reading import Stamp
from daskpar.data.records import Features
from daskpar.data.source import Source
from daskpar.data.sparse import SparseRows, Stored
from daskpar.data.weights import as_weights
from daskpar.errors import InputError

_held: dict[str, tuple[Stored, np.ndarray, np.ndarray | None]] = {}
_PARTS = "data", "indices", "indptr"  # the arrays of a sparse matrix


@dataclass(frozen=True)
class Held(Source):
    """Arrays of this process, by token; `features`: the columns of examples that have names."""

    token: str
    features: Features = ()

    def arrays(self) -> tuple[Stored, np.ndarray]:
        return self._held()[:2]

    def row_weights(self) -> np.ndarray | None:
        return self._held()[2]

    def _held(self) -> tuple[Stored, np.ndarray, np.ndarray | None]:
        try:
            return _held[self.token]
        except KeyError:
            raise InputError("these arrays were released, or belong to another process") from None

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]

    def release(self) -> None:
        _held.pop(self.token, None)


@dataclass(frozen=True)
class Spilled(Npy):
    """Arrays of this process, written to files for workers elsewhere."""

    features: Features = field(default=(), kw_only=True)
    frames: ClassVar[bool] = True

    def release(self) -> None:
        _remove(self.x, self.y, self.weights)


@dataclass(frozen=True)
class SpilledSparse(Source):
    """A sparse matrix of this process and its targets, written to files for workers elsewhere.

    `x`: the paths of the matrix's arrays, as compressed rows. `y`: that of the targets. `weights`: that of
    the weights of the rows, or None.
    """

    x: tuple[str, ...]
    y: str
    columns: int
    weights: str | None = None

    def arrays(self) -> tuple[Stored, np.ndarray]:
        return _open_sparse(self.x, self.columns, tuple(map(stamp, self.x))), open_npy(self.y)

    def plain_targets(self) -> np.ndarray:
        return self.arrays()[1]

    def row_weights(self) -> np.ndarray | None:
        return None if self.weights is None else open_npy(self.weights)

    def release(self) -> None:
        _remove(*self.x, self.y, self.weights)


Given = Held | Spilled | SpilledSparse


def _remove(*paths: str | None) -> None:
    for path in paths:
        if path is not None:
            Path(path).unlink(missing_ok=True)


def hold(
    x: object,
    y: object,
    folder: Path | None = None,
    where: str = "fit",
    known: Features = (),
    sample_weight: object = None,
) -> Given:
    """A source over arrays given from Python; with `folder`, through files in it.

    `known`: the columns of training, which those of a frame are compared with.
    """
    same = x is y
    x, features = as_examples(x, where, known)
    y = cast(np.ndarray, x) if same else as_array(y, where, "targets")
    check_pair(x, y, where, may_be_records=True)
    weights = None if sample_weight is None else as_weights(sample_weight, x.shape[0], where)
    token = uuid4().hex
    if folder is None:
        _held[token] = (x, y, weights)
        return Held(token, features)
    weights_file = None
    if weights is not None:
        weights_file = str(folder / f"{token}-weights.npy")
        np.save(weights_file, weights)
    if isinstance(x, SparseRows):
        paths = tuple(str(folder / f"{token}-{part}.npy") for part in _PARTS)
        for path, part in zip(paths, _PARTS, strict=True):
            np.save(path, getattr(x.matrix, part))
        np.save(folder / f"{token}-y.npy", y[:])
        return SpilledSparse(paths, str(folder / f"{token}-y.npy"), x.shape[1], weights_file)
    files = folder / f"{token}-x.npy", folder / f"{token}-{'x' if same else 'y'}.npy"
    for file, array in zip(files, (x, y), strict=True):
        if not file.exists():
            np.save(file, array)
    return Spilled(str(files[0]), str(files[1]), weights_file, features=features)


@lru_cache(maxsize=16)
def _open_sparse(paths: tuple[str, ...], columns: int, stamps: tuple[Stamp, ...]) -> SparseRows:
    from scipy.sparse import csr_matrix

    data, indices, starts = map(open_npy, paths)
    return SparseRows(csr_matrix((data, indices, starts), shape=(len(starts) - 1, columns)))
