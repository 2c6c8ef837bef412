"""Sources over arrays that are passed from Python.

Arrays are never part of a graph. If the workers are threads of this process, the graph carries a token, and
the arrays stay where they are. For workers in other processes the arrays are written once to `.npy` files,
which every worker maps into memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, cast
from uuid import uuid4

import numpy as np

from daskpar.data.check import as_array, as_examples, check_pair
from daskpar.data.described import source_text
from daskpar.data.files import Npy, open_npy, stamp
from daskpar.data.reading import Stamp
from daskpar.data.records import Features
from daskpar.data.source import Source
from daskpar.data.sparse import SparseRows, Stored
from daskpar.data.weights import as_weights
from daskpar.errors import InputError

_held: dict[str, tuple[Stored, np.ndarray, np.ndarray | None]] = {}
_PARTS = "data", "indices", "indptr"  # the arrays of a sparse matrix of compressed rows


@dataclass(frozen=True)
class InMemory(Source):
    """Arrays of this process, by token; `features`: name and kind of columns, () without names."""

    token: str
    features: Features = ()

    def __repr__(self) -> str:
        return source_text(self)

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
        """Let go of the arrays."""
        _held.pop(self.token, None)


@dataclass(frozen=True)
class Spilled(Npy):
    """Arrays of this process, written to files for workers in other processes."""

    features: Features = field(default=(), kw_only=True)
    frames: ClassVar[bool] = True

    def release(self) -> None:
        """Remove the files."""
        _remove(self.x, self.y, self.weights)


@dataclass(frozen=True)
class SpilledSparse(Source):
    """A sparse matrix of this process and its targets, written to files for workers in other processes.

    `x`: paths of the arrays of the matrix, in compressed rows. `y`: path of the targets. `weights`: path of
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
        """Remove the files."""
        _remove(*self.x, self.y, self.weights)


Given = InMemory | Spilled | SpilledSparse


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
    """Return a source over arrays, frames or lists; `release` lets go of them.

    Args:
        x: Examples (rows, ...): an array of NumPy or another library, a list, a frame, or a sparse matrix.
        y: Targets (rows, ...): the same, or texts. `y` may be `x` itself.
        folder: Folder to write `.npy` files to, for workers in other processes. None: the arrays stay in
            memory, and only threads of this process can read them. Default: None.
        where: Beginning of error messages. Default: "fit".
        known: Name and kind of the columns of training, which the columns of a frame must equal. Default: ().
        sample_weight: Weights (rows,) or (rows, 1), numbers from 0 on. None: all rows have weight 1.
            Default: None.

    Raises:
        InputError: The values are no numbers, have different numbers of rows, or other columns than `known`.

    Example:
        >>> from daskpar.data import hold
        >>> source = hold([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], ["a", "b", "a"])
        >>> source
        InMemory(3 rows, x: 2 float64, y: texts, 2 classes: a, b)
        >>> source.read(slice(1, 2))
        (array([[3., 4.]]), array(['b'], dtype='<U1'))
        >>> source.release()
    """
    same = x is y
    x, features = as_examples(x, where, known)
    y = cast(np.ndarray, x) if same else as_array(y, where, "targets")
    check_pair(x, y, where, may_be_records=True)
    weights = None if sample_weight is None else as_weights(sample_weight, x.shape[0], where)
    token = uuid4().hex
    if folder is None:
        _held[token] = (x, y, weights)
        return InMemory(token, features)
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
