"""Sparse matrices: rows that are made dense as they are read, a chunk at a time."""

from __future__ import annotations

import sys
from typing import Protocol, TypeGuard

import numpy as np

Index = slice | np.ndarray | tuple[slice | np.ndarray, ...]
"""Rows, or rows and columns, to read."""


class Compressed(Protocol):
    """A matrix of SciPy as compressed rows (CSR): its arrays, and rows of it as a matrix again."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def __getitem__(self, rows: Index) -> Compressed: ...
    def toarray(self) -> np.ndarray: ...


class SparseMatrix(Protocol):
    """A sparse matrix or array of SciPy, of any format."""

    ndim: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def tocsr(self) -> Compressed: ...
    def toarray(self) -> np.ndarray: ...


class SparseRows:
    """A sparse matrix (rows, columns) that answers like an array; reading rows makes those rows dense."""

    ndim = 2

    def __init__(self, matrix: SparseMatrix):
        self.matrix = matrix.tocsr()
        self.shape, self.dtype = tuple(matrix.shape), matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Index) -> np.ndarray:
        return self.matrix[rows].toarray()


Stored = np.ndarray | SparseRows
"""Examples or targets as they are stored, row by row."""


def is_sparse(values: object) -> TypeGuard[SparseMatrix]:
    """Return whether `values` is a sparse matrix or array of SciPy."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(values))
