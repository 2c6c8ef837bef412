"""Adding rows to the places of a table that their numbers name."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def scatter_rows(numbers: Array, values: Array, rows: int) -> Array:
    """A table (rows, features), each row the sum of those `values` (..., features) that have its number."""
    xp = array_module(values)
    table = xp.zeros((rows, values.shape[-1]), dtype=values.dtype)
    xp.add.at(table, numbers.reshape(-1), values.reshape(-1, values.shape[-1]))
    return table
