"""Splits: shares of the rows of a source for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from daskpar.backend.random import generator
from daskpar.data.described import content, counted, row_count, table_html, table_text
from daskpar.data.sampler import stratify
from daskpar.data.source import Rows, Source
from daskpar.errors import InputError
from daskpar.settings import Block, checked_arguments


@dataclass(frozen=True)
class Split(Block):
    """A part of a source: the rows between two shares of a seeded shuffle of all rows.

    A split is a description. It is pickled and sent to the workers, and each computes the same rows. The
    indices of the rows of the last 64 splits are kept in each process. Positions of a split count its own
    rows from 0.

    `print` shows the number of rows, and the shapes, dtypes and classes of examples and targets.

    Args:
        source: The source.
        name: Name of the part, for messages and results. Default: "train".
        low: Share of the shuffled rows at which the part begins, from 0 to 1. Default: 0.
        high: Share of the shuffled rows at which the part ends, from 0 to 1. Default: 1.
        seed: Seed of the shuffle. Default: 0.
        stratified: Give every part, and every stretch of a part, the classes in their overall proportions.
            Default: False.
        shuffled: False keeps the rows in order, so a part of a dask array is a slice of it. Ignored if
            `stratified`. Default: True.
        sent: True if this process reads the rows and sends them to the workers, which cannot open the source.
            Default: False.

    Raises:
        InputError: A share is out of range, or `low` is above `high`.

    Example:
        >>> from daskpar.data import Digits, Split
        >>> part = Split(Digits(), "validation", low=0.7, high=0.8)
        >>> print(part)
        validation: 180 rows, Digits()
          x  8 × 8 × 1 uint8
          y  int32, 10 classes
        >>> x, y = part.read(slice(0, 2))
        >>> x.shape, y.tolist()
        ((2, 8, 8, 1), [7, 8])
    """

    source: Source
    name: str = "train"
    low: float = 0.0
    high: float = 1.0
    seed: int = 0
    stratified: bool = False
    shuffled: bool = True
    sent: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"part.low={self.low} and part.high={self.high} must be from 0 to 1, low not above high"
            )

    def __str__(self) -> str:
        return table_text(self._title, content(self.source))

    def _repr_html_(self) -> str:
        return table_html(self._title, content(self.source))

    @property
    def _title(self) -> str:
        (rows,) = counted([row_count(self)])
        return f"{self.name}: {rows}, {self.source!r}"

    @property
    def rows(self) -> int:
        """The number of rows of the part."""
        start, stop = self._bounds()
        return stop - start

    @checked_arguments("validation ")
    def split(self, share: float) -> tuple[Split, Split]:
        """Return this part less a share of its rows, and a part of that share, for validation.

        Args:
            share: Share of the rows of this part, above 0 and below 1.

        Raises:
            InputError: The share is out of range, or leaves one of the two without rows.
        """
        if not 0 < share < 1:
            raise InputError(f"validation={share} must be above 0 and below 1")
        sources = self.source.split(share)
        if sources is not None:
            return replace(self, source=sources[0]), replace(self, source=sources[1], name="validation")
        border = self.high - share * (self.high - self.low)
        parts = replace(self, high=border), replace(self, low=border, name="validation")
        if not all(part.rows for part in parts):
            raise InputError(f"validation={share} of {self.rows} rows leaves one side with none")
        return parts

    def once(self) -> Split:
        """Return the part to evaluate on; see `Source.once`."""
        return replace(self, source=self.source.once())

    def read(self, positions: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return examples (n, ...) and targets (n, ...) at n positions of the part, as they are stored."""
        return self.source.read(self.where(positions))

    def read_targets(self, positions: slice | np.ndarray) -> np.ndarray:
        """Return the targets (n, ...) at n positions of the part; the examples are not read."""
        return self.source.read_targets(self.where(positions))

    def read_weights(self, positions: slice | np.ndarray) -> np.ndarray | None:
        """Return the weights (n,) at n positions of the part; None: all rows have weight 1."""
        return self.source.read_weights(self.where(positions)) if self.source.weighted else None

    def where(self, positions: slice | np.ndarray) -> Rows:
        """Return the rows of the source at these positions of the part, as a slice or as integers."""
        if self.stratified or (self.shuffled and (self.low, self.high) != (0.0, 1.0)):
            return _index(self, self.source.version)[positions]
        start = self._bounds()[0]
        if isinstance(positions, slice):
            return slice(start + positions.start, start + positions.stop)
        return start + positions

    def _bounds(self) -> tuple[int, int]:
        rows = self.source.rows
        return round(self.low * rows), round(self.high * rows)


@lru_cache(maxsize=64)
def _index(part: Split, version: tuple[int, ...]) -> np.ndarray:
    rng = generator(part.seed, "split")
    start, stop = part._bounds()
    if part.stratified:
        return stratify(part.source.labels(), rng)[start:stop]
    return np.sort(rng.permutation(part.source.rows)[start:stop])


class Parts(NamedTuple):
    """The data of a run: a split each for training, validation and test; None for a part that is left out.

    `print`, a terminal and a notebook show the rows of each part, and shapes, dtypes and classes.

    >>> from daskpar.data import Digits, parts_of
    >>> parts_of(Digits(), validation=0.1, test=0.2, seed=0, stratified=False)
    Parts of Digits()
      train       1,258 rows
      validation    180 rows
      test          359 rows
      x           8 × 8 × 1 uint8
      y           int32, 10 classes
    """

    train: Split
    validation: Split | None
    test: Split | None

    def __repr__(self) -> str:
        return table_text(self._title, self._lines())

    def _repr_html_(self) -> str:
        return table_html(self._title, self._lines())

    @property
    def _title(self) -> str:
        return f"Parts of {self.train.source!r}"

    def _lines(self) -> list[tuple[str, str]]:
        parts = [part for part in self if part is not None]
        rows = counted([row_count(part) for part in parts])
        names = [part.name for part in parts]
        return [*zip(names, rows, strict=True), *content(self.train.source)]


def parts_of(source: Source, validation: float, test: float | None, seed: int, stratified: bool) -> Parts:
    """Return the parts of a source: as it divides itself, or shares of its rows drawn at random.

    A source that comes with test data, as MNIST does, is divided into training and validation only.

    Args:
        source: The source.
        validation: Share of the rows for validation, from 0 to below 1. 0: no validation part.
        test: Share of the rows for the test, from 0 to below 1. None: 0.2, or 0 for a source that divides
            itself, as a text does.
        seed: Seed of the shuffle of the rows.
        stratified: Give every part the classes in their overall proportions.

    Raises:
        InputError: A share is out of range, or leaves a part without rows.

    Example:
        >>> from daskpar.data import Digits, parts_of
        >>> parts = parts_of(Digits(), validation=0.1, test=None, seed=0, stratified=True)
        >>> [part.rows for part in parts]
        [1258, 180, 359]
    """
    divided = source.divided(validation, test or 0.0)
    if divided is not None:
        return Parts(
            Split(divided.train, "train"),
            Split(divided.validation, "validation") if divided.validation else None,
            Split(divided.test, "test") if divided.test else None,
        )
    test_source = source.test_source()
    if test_source is not None:
        train, held_out, _ = split(source, validation, 0.0, seed, stratified)
        return Parts(train, held_out, Split(test_source, "test"))
    return split(source, validation, 0.2 if test is None else test, seed, stratified)


@checked_arguments("data.")
def split_text(source: Source, validation: float, test: float) -> Parts:
    """Return the parts of a source that divides itself, as a text does: training first, the test last.

    Args:
        source: The source.
        validation: Share of the data for validation, from 0 to below 1. 0: no validation part.
        test: Share of the data for the test, from 0 to below 1. 0: no test part.

    Raises:
        InputError: A share is out of range, or leaves a part with too little data.

    Example:
        >>> import tempfile
        >>> from daskpar.data import Text, split_text
        >>> folder = tempfile.TemporaryDirectory()
        >>> with open(f"{folder.name}/abc.txt", "w") as file:
        ...     _ = file.write(100 * "abc ")
        >>> parts = split_text(Text(f"{folder.name}/abc.txt", block=8), validation=0.25, test=0)
        >>> parts.train.rows, parts.validation.rows, parts.test
        (292, 12, None)
        >>> folder.cleanup()
    """
    return parts_of(source, validation, test, 0, False)


@checked_arguments("data.")
def split(
    source: Source, validation: float, test: float, seed: int, stratified: bool, shuffled: bool = True
) -> Parts:
    """Return the parts of a source: shares of its rows; a part with a share of 0 is None.

    Args:
        source: The source.
        validation: Share of the rows for validation, from 0 to below 1.
        test: Share of the rows for the test, from 0 to below 1.
        seed: Seed of the shuffle of the rows.
        stratified: Give every part the classes in their overall proportions.
        shuffled: False keeps the rows in order: training first, the test last. Default: True.

    Raises:
        InputError: A share is out of range, or leaves a part without rows.

    Example:
        >>> from daskpar.data import Digits, split
        >>> train, validation, test = split(Digits(), 0.0, 0.25, seed=0, stratified=False)
        >>> train.rows, validation, test.rows
        (1348, None, 449)
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise InputError(f"data.{name}={share} must be at least 0 and below 1")
    if validation + test >= 1:
        raise InputError(f"data.validation={validation} and data.test={test} leave no rows for training")
    order = (seed, stratified, shuffled)
    first, second = 1 - validation - test, 1 - test
    parts = Parts(
        Split(source, "train", 0.0, first, *order),
        Split(source, "validation", first, second, *order) if validation else None,
        Split(source, "test", second, 1.0, *order) if test else None,
    )
    if parts.train.rows == 0:
        raise InputError(
            f"data.validation={validation} and data.test={test} leave none of {source.rows} rows for training"
        )
    for part in parts[1:]:
        if part is not None and part.rows == 0:
            raise InputError(f"data.{part.name} has zero rows of {source.rows}; give it a larger share")
    return parts
