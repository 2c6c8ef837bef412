"""Missing values: NaN and missing texts are replaced by a value for each column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.data.fitted import Fitted, Label, Measure, Transform
from daskpar.data.records import MISSING, NUMBER, TEXT, Features, is_records, texts
from daskpar.data.table_columns import column, places, require_columns
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import setting

_STRATEGIES = "mean", "median", "most_frequent", "constant"


@register("imputed")
@dataclass(frozen=True)
class Imputed(Fitted):
    """Replacement of missing values in the `columns`, by number, by one of `values` for each.

    `names`: the names of all columns of records; () for arrays.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    values: tuple[Label, ...]
    fills = True

    def apply(self, x: Array) -> Array:
        if is_records(x.dtype):
            return self._filled_records(x)
        if x.dtype.kind != "f":
            return x
        xp = array_module(x)
        filled = x.copy()
        for i, value in zip(self.columns, self.values, strict=True):
            filled[:, i] = xp.where(xp.isnan(x[:, i]), x.dtype.type(value), x[:, i])
        return filled

    def _filled_records(self, x: np.ndarray) -> np.ndarray:
        dtypes = {name: x.dtype[name] for name in x.dtype.names or ()}
        changed = {}
        for i, value in zip(self.columns, self.values, strict=True):
            name = self.names[i]
            stored = x[name]
            if isinstance(value, str):
                stored = texts(stored)
                changed[name] = np.where(stored == MISSING, value, stored)
            elif stored.dtype.kind == "f":
                changed[name] = np.where(np.isnan(stored), value, stored)
        for name, values in changed.items():
            dtypes[name] = values.dtype
        filled = np.empty(len(x), list(dtypes.items()))
        for name in dtypes:
            filled[name] = changed.get(name, x[name])
        return filled


@register("impute")
@dataclass(frozen=True)
class Impute(Transform):
    """Replacement of missing values in the columns of a table: NaN in numbers, and missing texts.

    The replacement is computed from the training part, for each column by itself. Median and most frequent
    value are exact, so the different values of each column must fit into memory. Of values that are equally
    frequent, the smallest counts. Put it first in `transforms`; only `encode` may come before it.

    Args:
        strategy: The replacement: "mean", "median" or "most_frequent" value of the column, or "constant".
            Mean and median are for numbers. Default: "mean".
        value: The constant, a number or a text; only for the strategy "constant". Default: None.
        columns: Names or numbers (from 0) of columns. (): all columns that the strategy applies to, which
            are those of numbers for "mean" and "median", and those of the kind of `value` for "constant".
            Default: ().

    Shape:
        - Input: (rows, columns), or records (rows,).
        - Output: the same shape and dtype.

    Raises:
        InputError: The strategy does not fit a column or `value`, a column is not there, examples are not a
            table, or a column has no value in the training part.

    Example:
        >>> import numpy as np
        >>> from daskpar.data import Impute
        >>> x = np.array([[1.0, 5.0], [np.nan, 7.0], [4.0, np.nan]])
        >>> step = Impute("mean").on_columns((), x[:0])
        >>> fitted = step.fit(step.measure(x))
        >>> fitted.apply(x).tolist()
        [[1.0, 5.0], [2.5, 7.0], [4.0, 6.0]]
    """

    strategy: str = setting(
        "mean", "replacement of missing values: mean, median, most_frequent or constant", choices=_STRATEGIES
    )
    value: float | str | None = setting(None, "constant for the strategy constant: a number or a text")
    columns: tuple[str | int, ...] = setting(
        (), "names or numbers (from 0) of columns (default: all that the strategy applies to)"
    )
    keeps_missing = True

    def __post_init__(self) -> None:
        if (self.value is None) == (self.strategy == "constant"):
            raise InputError(
                f"impute: strategy {self.strategy} with value={self.value}; expected a value for constant, "
                "e.g. `impute: {strategy: constant, value: 0}`, and for no other"
            )

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        table = require_columns(self.kind, features, example)
        wanted = NUMBER if self.strategy in ("mean", "median") else None
        if self.strategy == "constant":
            wanted = TEXT if isinstance(self.value, str) else NUMBER
        chosen = places(self.kind, self.columns, table)
        for i in chosen:
            if wanted not in (None, table[i].kind):
                constant = f" {self.value!r}" if self.strategy == "constant" else ""
                raise InputError(
                    f"impute: {self.strategy}{constant} does not fit column {table[i].name!r}, which holds "
                    f"{table[i].kind}s; use most_frequent, or another constant"
                )
        if not chosen:
            chosen = tuple(i for i, c in enumerate(table) if wanted in (None, c.kind))
        names = tuple(c.name for c in table) if is_records(example.dtype) else ()
        return _ImputeColumns(self.strategy, self.value, names, chosen)


@dataclass(frozen=True)
class _ImputeColumns(Transform):
    """`Impute` for columns by number; measures sum and count of a column, or its values and their counts."""

    strategy: str
    value: float | str | None
    names: tuple[str, ...]
    places: tuple[int, ...]
    keeps_missing = True

    def measure(self, x: np.ndarray) -> Measure:
        return tuple(self._measured(column(x, self.names, i)) for i in self.places)

    def _measured(self, values: np.ndarray) -> Measure:
        if self.strategy == "constant":
            return ()
        values = values[values != MISSING] if values.dtype.kind == "U" else values[values == values]
        if self.strategy == "mean":
            return values.sum(dtype=np.float64), len(values)
        return np.unique(values, return_counts=True)

    def combine(self, a: Measure, b: Measure) -> Measure:
        return tuple(self._combined(one, other) for one, other in zip(a, b, strict=True))

    def _combined(self, a: Measure, b: Measure) -> Measure:
        if self.strategy == "constant":
            return ()
        if self.strategy == "mean":
            return a[0] + b[0], a[1] + b[1]
        values = np.concatenate([a[0], b[0]])
        known, place = np.unique(values, return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([a[1], b[1]]), minlength=len(known))
        return known, counts.astype(np.int64)

    def fit(self, measure: Measure) -> Fitted:
        values = tuple(map(self._value, self.places, measure))
        return Imputed(self.names, self.places, values)

    def _value(self, place: int, measured: Measure) -> Label:
        if self.value is not None:
            return self.value
        if not len(measured) or not np.sum(measured[1]):
            name = repr(self.names[place]) if self.names else place
            raise InputError(
                f"impute: column {name} has no value in the training part; drop it, or use strategy: constant"
            )
        first, count = measured
        if self.strategy == "mean":
            return float(first / count)
        if self.strategy == "most_frequent":
            commonest = first[np.argmax(count)].item()
            return commonest if isinstance(commonest, str) else float(commonest)
        ends = np.cumsum(count)
        low, high = (int(np.searchsorted(ends, place, side="right")) for place in _middle(int(ends[-1])))
        return float(first[low] / 2 + first[high] / 2) if low != high else float(first[low])


def _middle(count: int) -> tuple[int, int]:
    """Return the indices of the two middle values among `count` sorted ones; the same twice if odd."""
    return (count - 1) // 2, count // 2
