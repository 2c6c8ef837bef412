"""Gathered rows: the values of each row that a metric needs, if its result does not follow from sums."""

from __future__ import annotations

from typing import Any

import numpy as np

Columns = tuple[np.ndarray, ...]


class Rows:
    """Columns (rows, ...) of several blocks of rows. Addition concatenates them."""

    def __init__(self, *blocks: Columns):
        self.blocks = blocks

    def __add__(self, other: Rows) -> Rows:
        return Rows(*self.blocks, *other.blocks)

    def packed(self) -> Rows:
        """Return the same rows as one block."""
        return Rows(self.columns) if len(self.blocks) > 1 else self

    @property
    def columns(self) -> Columns:
        """The columns over all rows."""
        return tuple(np.concatenate(parts) for parts in zip(*self.blocks, strict=True))


def packed(sums: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sums whose rows are one block each, ready to be sent."""
    return tuple(part.packed() if isinstance(part, Rows) else part for part in sums)
