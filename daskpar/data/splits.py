"""Which rows of a source serve training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from daskpar.backend.random import generator
from daskpar.data.sampler import stratify
from daskpar.data.source import Rows, Source
from daskpar.errors import InputError
from daskpar.settings import Block, checked_arguments


@dataclass(frozen=True)
class Split(Block):
    """The rows of `source` between two shares (`low`, `high`) of a seeded shuffle of them.

    Without `shuffled` they are taken as they lie, so that a part of a dask array is a slice of it. With
    `stratified` every part holds the classes in their overall proportions, and so does every stretch
    of the part. Only the description travels: each worker works the rows out for itself.
    """

    source: Source
    name: str = "train"
    low: float = 0.0
    high: float = 1.0
    seed: int = 0
    stratified: bool = False
    shuffled: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"part.low={self.low} and part.high={self.high} must be from 0 to 1, low not above high"
            )

    @property
    def rows(self) -> int:
        start, stop = self._bounds()
        return stop - start

    @checked_arguments("validation ")
    def split(self, share: float) -> tuple[Split, Split]:
        """This part less a share of its rows, and that share, for validation."""
        if not 0 < share < 1:
            raise InputError(f"validation={share} must be above 0 and below 1")
        sources = self.source.split(share)
        if sources is not None:
            return replace(self, source=sources[0]), replace(self, source=sources[1], name="validation")
        at = self.high - share * (self.high - self.low)
        parts = replace(self, high=at), replace(self, low=at, name="validation")
        if not all(part.rows for part in parts):
            raise InputError(f"validation={share} of {self.rows} rows leaves one side with none")
        return parts

    def once(self) -> Split:
        """The part to evaluate on; see `Source.once`."""
        return replace(self, source=self.source.once())

    def read(self, positions: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples and targets at these positions of the part, as they are stored."""
        return self.source.read(self.where(positions))

    def read_targets(self, positions: slice | np.ndarray) -> np.ndarray:
        """The targets at these positions of the part alone, as they are stored."""
        return self.source.read_targets(self.where(positions))

    def read_weights(self, positions: slice | np.ndarray) -> np.ndarray | None:
        """The weights of the rows at these positions of the part; None where all rows count alike."""
        return self.source.read_weights(self.where(positions)) if self.source.weighted else None

    def where(self, positions: slice | np.ndarray) -> Rows:
        """The rows of the source at these positions of the part."""
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
    """The data of a run; a part may be missing."""

    train: Split
    validation: Split | None
    test: Split | None


def parts_of(source: Source, validation: float, test: float | None, seed: int, stratified: bool) -> Parts:
    """The parts of a source: as it divides itself, or shares of its rows at random.

    `test`: the share held out for it; None: 0.2, and 0 of a source that divides itself.
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
    return Parts(*split(source, validation, 0.2 if test is None else test, seed, stratified))


@checked_arguments("data.")
def split_text(source: Source, validation: float, test: float) -> Parts:
    """(train, validation, test) of a source that divides itself, as a text does."""
    return parts_of(source, validation, test, 0, False)


@checked_arguments("data.")
def split(
    source: Source, validation: float, test: float, seed: int, stratified: bool, shuffled: bool = True
) -> tuple[Split, Split | None, Split | None]:
    """(train, validation, test) of one source; a part with a share of 0 is None."""
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise InputError(f"data.{name}={share} must be at least 0 and below 1")
    if validation + test >= 1:
        raise InputError(f"data.validation={validation} and data.test={test} leave no rows for training")
    how = (seed, stratified, shuffled)
    first, second = 1 - validation - test, 1 - test
    parts = (
        Split(source, "train", 0.0, first, *how),
        Split(source, "validation", first, second, *how) if validation else None,
        Split(source, "test", second, 1.0, *how) if test else None,
    )
    if parts[0].rows == 0:
        raise InputError(
            f"data.validation={validation} and data.test={test} leave none of {source.rows} rows for training"
        )
    for part in parts[1:]:
        if part is not None and part.rows == 0:
            raise InputError(f"data.{part.name} has zero rows of {source.rows}; give it a larger share")
    return parts
