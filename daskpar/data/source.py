"""Where data come from: a frozen, picklable description that any worker can read rows through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskpar.errors import InputError
from daskpar.settings import Block

Rows = slice | np.ndarray
"""Which rows to read: a slice, or integer indices."""


@dataclass(frozen=True)
class Source(Block):
    """Examples and targets of one origin, row by row.

    A subclass says how its arrays are opened; opening is cheap the second time in the same process, and
    reading rows of a memory-mapped file touches those rows only. `peak` is the largest raw value of pixels
    (255 for bytes): training then sees x / peak, from 0 to 1.
    """

    peak: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.peak is not None and not self.peak > 0:
            raise InputError(f"{type(self).__name__.lower()}.peak={self.peak} must be above zero")

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All examples (rows, ...) and all targets (rows, ...), opened rather than read."""
        raise TypeError(f"{type(self).__name__} is no source")

    @property
    def rows(self) -> int:
        return len(self.arrays()[0])

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.arrays()[0].shape[1:]

    @property
    def x_dtype(self) -> Any:
        return self.arrays()[0].dtype

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.arrays()[1].shape[1:]

    @property
    def y_dtype(self) -> Any:
        return self.arrays()[1].dtype

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called, in order; nothing where they have no names."""
        return ()

    @property
    def tokens(self) -> bool:
        """Whether examples are numbers of words or characters, which no arithmetic is done on."""
        return False

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk, unless one asks for another number."""
        return 8192

    def once(self) -> Source:
        """The same data to evaluate on: each value once, where training draws rows that overlap."""
        return self

    def split(self, share: float) -> tuple[Source, Source] | None:
        """This source less a share of it, and that share; None where rows may be dealt out as one likes."""
        return None

    def read(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The examples and targets of `rows`, as they are stored."""
        x, y = self.arrays()
        return x[rows], y[rows]

    def labels(self) -> np.ndarray:
        """All targets as integer classes, for stratified sampling."""
        y = self.arrays()[1]
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise InputError(
                f"distribution stratified needs integer classes, one a row; the targets are {y.dtype} "
                f"of shape {y.shape}"
            )
        return np.asarray(y)


def check_pair(x: Any, y: Any, where: str) -> None:
    """Refuse arrays that cannot be examples and their targets."""
    for what, part in (("examples", x), ("targets", y)):
        if not getattr(part, "shape", ()):
            raise InputError(f"{where}: {what} must have an axis of rows, got a single value")
    if x.shape[0] != y.shape[0]:
        raise InputError(
            f"{where}: {x.shape[0]} rows of examples but {y.shape[0]} labels; expected one a row"
        )
    if x.shape[0] == 0:
        raise InputError(f"{where}: zero rows; expected at least one example")
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise InputError(f"{where}: expected numbers, got examples of {x.dtype} and targets of {y.dtype}")
