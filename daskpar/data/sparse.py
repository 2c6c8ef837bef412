"""Sparse matrices: rows that are made dense as they are read, a chunk at a time."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


class SparseRows:
    """A sparse matrix (rows, columns) that answers like an array; reading rows makes those rows dense."""

    ndim = 2

    def __init__(self, matrix: Any):
        self.matrix = matrix.tocsr()
        self.shape, self.dtype = tuple(matrix.shape), matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.matrix[rows].toarray()


def is_sparse(values: Any) -> bool:
    """Return whether `values` is a sparse matrix or array of SciPy."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(values))
