"""Sums of rows by number, added in the order of the rows."""

from __future__ import annotations

import numpy as np

from daskpar.backend.kernels.numba.kernel_cache import njit


def scatter_rows(numbers: np.ndarray, values: np.ndarray, rows: int) -> np.ndarray:
    """Return a table (rows, features) in which row i is the sum of the values (..., features) numbered i."""
    table = np.zeros((rows, values.shape[-1]), np.float32)
    if numbers.size * values.shape[-1] != values.size:
        raise ValueError(f"numbers of shape {numbers.shape} for rows of shape {values.shape}")
    _scatter(np.ascontiguousarray(numbers).reshape(-1), np.ascontiguousarray(values).reshape(-1), table)
    return table


@njit(nogil=True, cache=True)
def _scatter(numbers, values, table):
    """Add row i of flat `values` to row `numbers[i]` of `table` (rows, features)."""
    width = table.shape[1]
    for i in range(numbers.size):
        if numbers[i] < 0 or numbers[i] >= table.shape[0]:
            raise IndexError("scatter_rows: a number beyond the table")
        row = table[numbers[i]]
        for c in range(width):
            row[c] += values[i * width + c]
