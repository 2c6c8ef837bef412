"""Transforms of numbers, applied to the columns of numbers of records; texts are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.data.fitted import Fitted, Measure, Transform
from daskpar.data.records import NUMBER, kinds, names_of, numbers, with_numbers
from daskpar.registry import register


@register("on_numbers")
@dataclass(frozen=True)
class OnNumbers(Fitted):
    """A fitted transform of arrays (rows, columns) for some columns of records."""

    names: tuple[str, ...]
    inner: Fitted

    def apply(self, x: np.ndarray) -> np.ndarray:
        return with_numbers(x, self.names, self.inner.apply(numbers(x, self.names)))


@dataclass(frozen=True)
class NumbersOf(Transform):
    """A transform of arrays (rows, columns), applied to the columns of numbers of records."""

    inner: Transform

    def measure(self, x: np.ndarray) -> Measure:
        return self.inner.measure(numbers(x, names_of(kinds(x.dtype), NUMBER))), kinds(x.dtype)

    def combine(self, a: Measure, b: Measure) -> Measure:
        return self.inner.combine(a[0], b[0]), a[1]

    def fit(self, measure: Measure) -> Fitted:
        return OnNumbers(names_of(measure[1], NUMBER), self.inner.fit(measure[0]))
