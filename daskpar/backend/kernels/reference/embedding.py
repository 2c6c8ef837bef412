"""Sums of rows by number: the backward pass of an embedding."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def scatter_rows(numbers: Array, values: Array, rows: int) -> Array:
    """Return a table (rows, features) in which row i is the sum of the values with number i.

    `numbers` (...) are integers from 0 to rows - 1, and `values` (..., features) the rows to sum.
    """
    xp = array_module(values)
    table = xp.zeros((rows, values.shape[-1]), dtype=values.dtype)
    xp.add.at(table, numbers.reshape(-1), values.reshape(-1, values.shape[-1]))
    return table
