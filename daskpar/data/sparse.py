"""Sparse matrices of SciPy: rows are made dense when they are read, one chunk at a time."""

from __future__ import annotations

import sys
from typing import Protocol, TypeGuard

import numpy as np

Index = slice | np.ndarray | tuple[slice | np.ndarray, ...]
"""Rows to read, or rows and columns."""


class Compressed(Protocol):
    """The part of the interface of SciPy's compressed sparse rows (CSR) that is used here."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def __getitem__(self, rows: Index) -> Compressed: ...
    def toarray(self) -> np.ndarray:
        """Return the dense array."""
        ...


class SparseMatrix(Protocol):
    """The part of the interface of any sparse matrix or array of SciPy that is used here."""

    ndim: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def tocsr(self) -> Compressed:
        """Return the matrix in compressed rows."""
        ...

    def toarray(self) -> np.ndarray:
        """Return the dense array."""
        ...


class SparseRows:
    """A sparse matrix (rows, columns) with the interface of an array; indexing returns dense rows."""

    ndim = 2

    def __init__(self, matrix: SparseMatrix):
        self.matrix = matrix.tocsr()
        self.shape, self.dtype = tuple(matrix.shape), matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Index) -> np.ndarray:
        return self.matrix[rows].toarray()


Stored = np.ndarray | SparseRows
"""Examples or targets in storage, row by row."""


def is_sparse(values: object) -> TypeGuard[SparseMatrix]:
    """Return whether `values` is a sparse matrix or array of SciPy."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(values))
