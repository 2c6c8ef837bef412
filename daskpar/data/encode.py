"""Texts and categories of tables as numbers: one-hot columns, or the number of the category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.data.categories import matches
from daskpar.data.fitted import Fitted, Label, Measure, Transform
from daskpar.data.records import TEXT, Features, is_records
from daskpar.data.table_columns import column, places, require_columns
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import setting

_MOST = 10_000  # categories of a column
_KEEP, _ONE_HOT, _EMBED = "keep", "one_hot", "embed"


@register("encoded")
@dataclass(frozen=True)
class Encoded(Fitted):
    """Tables as arrays of numbers (rows, columns): each column kept, one-hot encoded, or numbered.

    Kept and one-hot columns stay in order. Numbers of categories come last, one column each: 1, 2, ... in the
    order of `values`, and 0 for a category that training did not have (zeros where it is one-hot encoded).
    `names`: the columns of records; () for arrays. `roles`: `keep`, `one_hot` or `embed` for each column.
    """

    names: tuple[str, ...]
    roles: tuple[str, ...]
    values: tuple[tuple[Label, ...], ...]

    @property
    def embedded(self) -> tuple[int, ...]:
        """The number of different values, 0 included, of each numbered column."""
        return tuple(len(v) + 1 for v, role in zip(self.values, self.roles, strict=True) if role == _EMBED)

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        dtype = x.dtype if x.dtype.kind == "f" else xp.float64
        found, last = [], []
        for i, (role, known) in enumerate(zip(self.roles, self.values, strict=True)):
            values = column(x, self.names, i)
            if role == _KEEP:
                found.append(values[:, None].astype(dtype))
            elif role == _ONE_HOT:
                found.append(
                    (_numbered(values, known)[:, None] == xp.arange(1, len(known) + 1)).astype(dtype)
                )
            else:
                last.append(_numbered(values, known)[:, None].astype(dtype))
        return xp.concatenate(found + last, axis=1)


def _numbered(values: Array, known: tuple[Label, ...]) -> Array:
    """Return numbers (rows,) of values: 1, 2, ... in the order of `known`, and 0 for other values."""
    if values.dtype.kind == "U" and known:
        sorted_ones = np.array(known)
        place = np.searchsorted(sorted_ones, values).clip(max=len(known) - 1)
        return np.where(sorted_ones[place] == values, place + 1, 0)
    hits = matches(values, known)
    return (hits * array_module(values).arange(1, len(known) + 1)).sum(axis=1)


@register("encode")
@dataclass(frozen=True)
class Encode(Transform):
    """Encoding of the columns of a table that hold texts or categories as numbers.

    A column is either one-hot encoded, or replaced by the number of its category for the layer
    `daskpar.EmbedColumns`, which learns a vector for each. The categories are those of the training part. A
    category that training did not have becomes zeros, or number 0. A missing text is a category, too. Columns
    of numbers are kept unless they are named.

    Args:
        rest: Encoding of columns of texts that are not named: "one_hot" or "embed". Default: "one_hot".
        one_hot: Names or numbers (from 0) of columns that are one-hot encoded. Default: ().
        embed: Names or numbers (from 0) of columns that are replaced by numbers of categories. These columns
            come last. Default: ().

    Shape:
        - Input: (rows, columns), or records (rows,) with columns of texts.
        - Output: (rows, kept columns + categories of one-hot columns + numbered columns).

    Raises:
        InputError: A column is not there, is named twice, or has more than 10,000 categories; or examples
            are not a table.

    Example:
        >>> import numpy as np
        >>> from daskpar.data import Encode
        >>> x = np.array([[7.0, 2.0], [9.0, 5.0], [8.0, 2.0]])
        >>> step = Encode(one_hot=(1,)).on_columns((), x[:0])
        >>> step.fit(step.measure(x)).apply(x).tolist()
        [[7.0, 1.0, 0.0], [9.0, 0.0, 1.0], [8.0, 1.0, 0.0]]

        Categories as numbers; 6 did not occur in training:

        >>> step = Encode(embed=(1,)).on_columns((), x[:0])
        >>> step.fit(step.measure(x)).apply(np.array([[7.0, 5.0], [7.0, 6.0]])).tolist()
        [[7.0, 2.0], [7.0, 0.0]]
    """

    rest: str = setting(
        _ONE_HOT,
        "encoding of columns of texts that are not named: one_hot or embed",
        choices=(_ONE_HOT, _EMBED),
    )
    one_hot: tuple[str | int, ...] = setting(
        (), "names or numbers (from 0) of columns to encode as one column for each category"
    )
    embed: tuple[str | int, ...] = setting(
        (), "names or numbers (from 0) of columns to encode as numbers of categories, for embed_columns"
    )
    keeps_missing = True

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        table = require_columns(self.kind, features, example)
        roles = [self.rest if c.kind == TEXT else _KEEP for c in table]
        hot, embedded = (places(self.kind, chosen, table) for chosen in (self.one_hot, self.embed))
        both = set(hot) & set(embedded)
        if both:
            raise InputError(
                f"encode: column {table[min(both)].name!r} is in one_hot and in embed; choose one"
            )
        for role, chosen in ((_ONE_HOT, hot), (_EMBED, embedded)):
            for i in chosen:
                roles[i] = role
        return _EncodeColumns(tuple(c.name for c in table), is_records(example.dtype), tuple(roles))


@dataclass(frozen=True)
class _EncodeColumns(Transform):
    """`Encode` for columns whose roles are known; measures the categories of each."""

    names: tuple[str, ...]
    records: bool
    roles: tuple[str, ...]
    keeps_missing = True

    @property
    def _fields(self) -> tuple[str, ...]:
        return self.names if self.records else ()

    def measure(self, x: np.ndarray) -> Measure:
        return tuple(
            np.zeros(0) if role == _KEEP else self._categories(column(x, self._fields, i), i)
            for i, role in enumerate(self.roles)
        )

    def _categories(self, values: np.ndarray, place: int) -> np.ndarray:
        return self._few(np.unique(values[values == values]), place)  # NaN is no category

    def _few(self, values: np.ndarray, place: int) -> np.ndarray:
        if len(values) > _MOST:
            raise InputError(
                f"encode: column {self.names[place]!r} has over {_MOST:,} categories; drop it if it is none"
            )
        return values

    def combine(self, a: Measure, b: Measure) -> Measure:
        return tuple(
            self._few(np.union1d(one, other), i) for i, (one, other) in enumerate(zip(a, b, strict=True))
        )

    def fit(self, measure: Measure) -> Fitted:
        return Encoded(self._fields, self.roles, tuple(tuple(values.tolist()) for values in measure))
