"""The contract of data sources: frozen, picklable descriptions that any worker reads rows through.

    client                             workers
    Npz("a.npz")  -- pickled, small -> Npz("a.npz").read(slice(0, 8192))    rows of chunk 0
                                       Npz("a.npz").read(slice(8192, ...))  rows of chunk 1

A graph carries the description. The rows themselves are read where they are needed.
"""

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
"""Rows to read: a slice, or integer indices."""


class Divided(NamedTuple):
    """Sources of one origin for training, validation and test; None where nothing is held out."""

    train: Source
    validation: Source | None
    test: Source | None


MAX_VALUE = setting(
    None,
    "raw value that becomes 1, e.g. 255 for bytes (every x is divided by it)",
    above=0,
    at_least=1e-30,  # float32 still holds its reciprocal
    at_most=1e30,
).metadata
"""The help and the bounds of `max_value`, which sources declare with defaults of their own."""


@dataclass(frozen=True)
class Source(Block):
    """The contract of data: examples and targets of one origin, row by row.

    A source is a frozen dataclass of paths and numbers that holds no arrays. It is pickled and sent to the
    workers, and each reads the rows that it needs. A subclass implements `arrays`. All other methods have
    defaults that build on it, so override them only where the origin can answer faster or knows more.

    Fields that are declared with `daskpar.settings.setting` become keys of the section `data` of a config
    when the class is registered with `daskpar.register("name")`.

    `arrays` is called each time that rows are read. Cache what opening a file yields, e.g. with
    `functools.lru_cache` over the path and the `version`, or map the file into memory, as
    `numpy.load(path, mmap_mode="r")` does. A worker reads a chunk of training rows once, and keeps it in
    memory while the training runs.

    Args:
        max_value: Largest raw value of the examples, e.g. 255 for pixels of bytes. Training and prediction
            use `x / max_value`. None: examples are used as they are. Keyword only. Default: None.

    Attributes:
        kind: The registered name, e.g. "npz"; "" before the class is registered.
        needs: The keys of a config that have no default, in words, for error messages.
        unfit: Keys of the section `data` that have no meaning for this source and are refused.

    Raises:
        InputError: A field has a value of the wrong type or outside of its bounds.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from daskpar import Source, Trainer
        >>> from daskpar.settings import setting
        >>> @dataclass(frozen=True)
        ... class Parabola(Source):
        ...     points: int = setting(100, "number of rows", at_least=2)
        ...     def arrays(self):
        ...         x = np.linspace(-1, 1, self.points, dtype="float32")[:, None]
        ...         return x, x[:, 0] ** 2
        >>> source = Parabola(5)
        >>> source.rows, source.x_shape, source.y_dtype
        (5, (1,), dtype('float32'))
        >>> source.read(slice(0, 2))
        (array([[-1. ],
               [-0.5]], dtype=float32), array([1.  , 0.25], dtype=float32))
        >>> Trainer([{"dense": 1}], loss="mse").fit(Parabola(64)).steps_
        2
    """

    kind: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    """The keys of a config that have no default, in words, for messages."""
    unfit: ClassVar[tuple[str, ...]] = ()
    """Keys of the section `data` that have no meaning for this source and are refused."""

    renamed: ClassVar[Mapping[str, str]] = {"peak": "max_value"}

    max_value: float | None = field(default=None, kw_only=True, metadata=MAX_VALUE)

    @classmethod
    def from_keys(cls, keys: Mapping[str, object]) -> Self:
        """Return the source that the section `data` of a config describes.

        Args:
            keys: Values by key; None or "" for a key that the config leaves out.

        Raises:
            InputError: A key without a default is missing.
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
        """Return all examples (rows, ...) and all targets (rows, ...).

        Open the data rather than read it where that is possible: the arrays only need `shape`, `dtype`,
        `len` and indexing by a slice or by integers, so `numpy.memmap` or an array of Zarr will do. Examples
        are numbers of any dtype, or records (`daskpar.data.records`). Targets are numbers or texts. Axis 0
        is the row in both.

        Raises:
            InputError: The data cannot be read. Name the file and what was expected.
        """
        raise TypeError(f"{type(self).__name__} has no arrays(); a Source must implement it")

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.arrays()[0])

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of one example, without the axis of rows."""
        return self.arrays()[0].shape[1:]

    @property
    def x_dtype(self) -> np.dtype:
        """The dtype of the examples as they are stored."""
        return self.arrays()[0].dtype

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of one target, without the axis of rows; () for a class or a number a row."""
        return self.arrays()[1].shape[1:]

    @property
    def y_dtype(self) -> np.dtype:
        """The dtype of the targets as they are stored."""
        return self.arrays()[1].dtype

    @property
    def version(self) -> tuple[int, ...]:
        """Numbers that change when the files behind the source are rewritten; () for arrays.

        They are part of the keys of caches. See `daskpar.data.reading.stamp`.
        """
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers, or the vocabulary of tokens; () if none."""
        return ()

    @property
    def features(self) -> Features:
        """The name and kind of each column of the examples, in order; () where columns have no names."""
        return ()

    def like(self, features: Features) -> Source:
        """Return the same data with columns of these kinds.

        A CSV file does not say whether a column of digits holds numbers or texts. Data for prediction is
        therefore read with the kinds that the columns had in training. Default: return the source itself.
        """
        return self

    @property
    def tokens(self) -> bool:
        """True where examples are the numbers of words or characters: no arithmetic is done on them."""
        return False

    @property
    def chunk_rows(self) -> int:
        """The number of rows of a chunk where the settings do not say. Default: 8192."""
        return 8192

    def once(self) -> Source:
        """Return the source to evaluate on, in which each value occurs once.

        It differs from the source itself where training draws rows that overlap, as windows of a text do.
        """
        return self

    def test_source(self) -> Source | None:
        """Return the test data that comes with the origin; None if a share of the rows is held out."""
        return None

    def divided(self, validation: float, test: float) -> Divided | None:
        """Return sources for training, validation and test; None if any row may go into any part.

        Args:
            validation: Share of the data for validation, from 0 to 1.
            test: Share of the data for the test, from 0 to 1.
        """
        return None

    def split(self, share: float) -> tuple[Source, Source] | None:
        """Return this source less a share of its data, and that share; None if any row may go into either.

        Args:
            share: Share of the data for the second source, from 0 to 1.
        """
        return None

    def read(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return examples (n, ...) and targets (n, ...) of n `rows`, in the dtypes they are stored in."""
        x, y = self.arrays()
        return x[rows], y[rows]

    def read_targets(self, rows: Rows) -> np.ndarray:
        """Return the targets (n, ...) of n `rows`; the examples are not read."""
        return self.arrays()[1][rows]

    def row_weights(self) -> np.ndarray | None:
        """Return one weight for each row (rows,), at least 0; None: all rows have weight 1."""
        return None

    @property
    def weighted(self) -> bool:
        """True where rows have weights."""
        return self.row_weights() is not None

    def read_weights(self, rows: Rows) -> np.ndarray | None:
        """Return the weights (n,) of n `rows` as they are stored; None: all rows have weight 1."""
        weights = self.row_weights()
        return None if weights is None else weights[rows]

    def labels(self) -> np.ndarray:
        """Return one integer class for each row (rows,), for stratified sampling.

        Raises:
            InputError: The targets are not one class for each row.
        """
        return class_numbers(self.arrays()[1])

    def plain_targets(self) -> np.ndarray | None:
        """Return all targets (rows, ...) as they are stored, to number the labels among them.

        None if reading all of them is expensive, or if they are class numbers 0, 1, 2, ... by definition.
        Default: None.
        """
        return None


SOURCES = Table("data.source", Source, "daskpar.data")


def class_numbers(y: np.ndarray) -> np.ndarray:
    """Return integer classes (rows,) from labels (rows,) or (rows, 1), or from one-hot rows.

    Raises InputError for other targets.
    """
    y = y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2 and all((np.count_nonzero(rows, axis=1) == 1).all() for rows in (y[:100], y)):
        return y.argmax(axis=1)
    if y.ndim != 1 or y.dtype.kind not in "iubU":
        raise InputError(
            f"distribution stratified needs integer classes, one a row; the targets are {y.dtype} "
            f"of shape {y.shape}"
        )
    return np.asarray(y) if y.dtype.kind in "iu" else np.unique(y, return_inverse=True)[1]
