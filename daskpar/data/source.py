"""Where data come from: a frozen, picklable description that any worker can read rows through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, NamedTuple, Self

import numpy as np

from daskpar.data.records import Features
from daskpar.data.sparse import Stored
from daskpar.errors import InputError
from daskpar.registry import Table
from daskpar.settings import Block, setting

Rows = slice | np.ndarray
"""Which rows to read: a slice, or integer indices."""


class Divided(NamedTuple):
    """Sources of one origin for training, validation and test; None where nothing is held out."""

    train: Source
    validation: Source | None
    test: Source | None


MAX_VALUE = setting(
    None,
    "the raw value that becomes 1, e.g. 255 for bytes of npz",
    above=0,
    at_least=1e-30,  # whose reciprocal float32 still holds
    at_most=1e30,
).metadata
"""The help and the bounds of `max_value`, which sources declare with defaults of their own."""


@dataclass(frozen=True)
class Source(Block):
    """Examples and targets of one origin, row by row.

    A subclass says how its arrays are opened; opening is cheap the second time in the same process, and
    reading rows of a memory-mapped file touches those rows only. `max_value` is the largest raw
    value of pixels (255 for bytes): training then sees x / max_value, from 0 to 1.

    Fields that are declared with `setting` are keys of the section `data` of a config, once the class is
    registered.

    >>> @dataclass(frozen=True)
    ... class Parabola(Source):
    ...     points: int = setting(100, "rows", at_least=2)
    ...     def arrays(self):
    ...         x = np.linspace(-1, 1, self.points, dtype="float32")[:, None]
    ...         return x, x[:, 0] ** 2
    >>> from daskpar import Trainer
    >>> Trainer([{"dense": 1}], loss="mse").fit(Parabola(64)).steps_
    2
    """

    kind: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    """The keys that must be given, in words, for messages."""
    unfit: ClassVar[tuple[str, ...]] = ()
    """Keys of the section `data` that have no meaning for this source, and are refused."""

    renamed: ClassVar[Mapping[str, str]] = {"peak": "max_value"}

    max_value: float | None = field(default=None, kw_only=True, metadata=MAX_VALUE)

    @classmethod
    def from_keys(cls, keys: Mapping[str, object]) -> Self:
        """The source that keys of the section `data` describe; those left out are None.

        Raises InputError where one is missing.
        """
        values: dict[str, object] = {}
        for declared in fields(cls):
            key = declared.metadata.get("key") or declared.name
            value = keys.get(key) if "help" in declared.metadata else None
            if value not in (None, ""):
                values[declared.name] = value
            elif declared.default is MISSING and declared.default_factory is MISSING:
                raise InputError(f"data.source={cls.kind} needs {cls.needs or f'data.{key}'}")
        build: Callable[..., Self] = cls
        return build(**values)

    def arrays(self) -> tuple[Stored, np.ndarray]:
        """All examples (rows, ...) and all targets (rows, ...), opened rather than read."""
        raise TypeError(f"{type(self).__name__} is no source")

    @property
    def rows(self) -> int:
        return len(self.arrays()[0])

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.arrays()[0].shape[1:]

    @property
    def x_dtype(self) -> np.dtype:
        return self.arrays()[0].dtype

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.arrays()[1].shape[1:]

    @property
    def y_dtype(self) -> np.dtype:
        return self.arrays()[1].dtype

    @property
    def version(self) -> tuple[int, ...]:
        """Numbers that change when the files behind the source are written anew; none for arrays."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called, in order; nothing where they have no names."""
        return ()

    @property
    def features(self) -> Features:
        """The columns of examples, in order; nothing where they have no names."""
        return ()

    def like(self, features: Features) -> Source:
        """The same data with columns of these kinds, where a file leaves open of which kind they are."""
        return self

    @property
    def tokens(self) -> bool:
        """Return whether examples are numbers of words or characters, which no arithmetic is done on."""
        return False

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk, unless one asks for another number."""
        return 8192

    def once(self) -> Source:
        """The same data to evaluate on: each value once, where training draws rows that overlap."""
        return self

    def test_source(self) -> Source | None:
        """Test data of its own; None where a share of the rows is held out."""
        return None

    def divided(self, validation: float, test: float) -> Divided | None:
        """Sources for training, validation and test; None where rows may be dealt out as one likes."""
        return None

    def split(self, share: float) -> tuple[Source, Source] | None:
        """This source less a share of it, and that share; None where rows may be dealt out as one likes."""
        return None

    def read(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The examples and targets of `rows`, as they are stored."""
        x, y = self.arrays()
        return x[rows], y[rows]

    def read_targets(self, rows: Rows) -> np.ndarray:
        """The targets of `rows` alone, as they are stored."""
        return self.arrays()[1][rows]

    def row_weights(self) -> np.ndarray | None:
        """One weight a row (rows,), opened rather than read; None where all rows count alike."""
        return None

    @property
    def weighted(self) -> bool:
        """Return whether rows have weights."""
        return self.row_weights() is not None

    def read_weights(self, rows: Rows) -> np.ndarray | None:
        """The weights of `rows`, as they are stored."""
        weights = self.row_weights()
        return None if weights is None else weights[rows]

    def labels(self) -> np.ndarray:
        """One integer class a row, for stratified sampling."""
        return class_numbers(self.arrays()[1])

    def plain_targets(self) -> np.ndarray | None:
        """All targets as they are stored, where looking at them costs little and nobody has numbered them."""
        return None


SOURCES = Table("data.source", Source, "daskpar.data")


def class_numbers(y: np.ndarray) -> np.ndarray:
    """Return integer classes (rows,) from labels (rows,) or (rows, 1), or from one-hot rows."""
    y = y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2 and all((np.count_nonzero(rows, axis=1) == 1).all() for rows in (y[:100], y)):
        return y.argmax(axis=1)
    if y.ndim != 1 or y.dtype.kind not in "iubU":
        raise InputError(
            f"distribution stratified needs integer classes, one a row; the targets are {y.dtype} "
            f"of shape {y.shape}"
        )
    return np.asarray(y) if y.dtype.kind in "iu" else np.unique(y, return_inverse=True)[1]
