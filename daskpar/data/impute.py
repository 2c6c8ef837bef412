"""Missing values: NaN, and texts that are missing, become a value of their column."""

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
    """Columns, by number, whose missing values become `values`; `names`: of all columns, for records."""

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
            held = x[name]
            if isinstance(value, str):
                held = texts(held)
                changed[name] = np.where(held == MISSING, value, held)
            elif held.dtype.kind == "f":
                changed[name] = np.where(np.isnan(held), value, held)
        for name, values in changed.items():
            dtypes[name] = values.dtype
        filled = np.empty(len(x), list(dtypes.items()))
        for name in dtypes:
            filled[name] = changed.get(name, x[name])
        return filled


@register("impute")
@dataclass(frozen=True)
class Impute(Transform):
    """Missing values become the mean, the median or the most frequent value of their column, or a constant.

    `columns`: those meant, by name or number; all that the strategy can do something for if left out: columns
    of numbers for `mean` and `median`, of the kind of the `value` for `constant`. The median and the most
    frequent value are exact, for which the different values of a column have to fit into memory.

    >>> import numpy as np
    >>> x = np.array([[1.0, 5.0], [np.nan, 7.0], [4.0, np.nan]])
    >>> step = Impute("mean").on_columns((), x[:0])
    >>> step.fit(step.measure(x)).apply(x).tolist()
    [[1.0, 5.0], [2.5, 7.0], [4.0, 6.0]]
    """

    strategy: str = setting("mean", "mean, median, most_frequent or constant", choices=_STRATEGIES)
    value: float | str | None = setting(None, "the constant")
    columns: tuple[str | int, ...] = setting((), "names or numbers of columns; all if left out")
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
                told = f" {self.value!r}" if self.strategy == "constant" else ""
                raise InputError(
                    f"impute: {self.strategy}{told} is nothing for column {table[i].name!r}, which holds "
                    f"{table[i].kind}s; use most_frequent, or another constant"
                )
        if not chosen:
            chosen = tuple(i for i, c in enumerate(table) if wanted in (None, c.kind))
        names = tuple(c.name for c in table) if is_records(example.dtype) else ()
        return _ImputeColumns(self.strategy, self.value, names, chosen)


@dataclass(frozen=True)
class _ImputeColumns(Transform):
    """`Impute` for columns by number; its measure is a sum and a count, or values and their counts."""

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
            found = first[np.argmax(count)].item()
            return found if isinstance(found, str) else float(found)
        ends = np.cumsum(count)
        low, high = (int(np.searchsorted(ends, place, side="right")) for place in _middle(int(ends[-1])))
        return float(first[low] / 2 + first[high] / 2) if low != high else float(first[low])


def _middle(count: int) -> tuple[int, int]:
    """Return the places of the two values in the middle of so many sorted ones; one twice if it is odd."""
    return (count - 1) // 2, count // 2
