"""Preparing chunks: standardise, scale, one-hot; fitted on the training part, chunk by chunk.

A transform measures each chunk (`measure`), adds the measures of chunks (`combine`) and becomes a `Fitted`
(`fit`), a plain value that travels with the run and lies in its checkpoints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.registry import Table, named
from daskpar.settings import Block

Measure = tuple[Any, ...]


@dataclass(frozen=True)
class Fitted:
    """A transform with its numbers: `apply(x)` is a pure function that keeps rows and dtype."""

    def apply(self, x: Array) -> Array:
        raise TypeError(f"{type(self).__name__} has no apply")


@dataclass(frozen=True)
class Pixels(Fitted):
    """x / peak: pixels from 0 to 1."""

    peak: float

    def apply(self, x: Array) -> Array:
        return x * (1 / self.peak)


@dataclass(frozen=True)
class Affine(Fitted):
    """(x - shift) · factor, feature by feature; `shape` is that of one example."""

    shift: tuple[float, ...]
    factor: tuple[float, ...]
    shape: tuple[int, ...]

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        dtype = x.dtype if x.dtype.kind == "f" else xp.float64
        shift = xp.asarray(self.shift, dtype=dtype).reshape(self.shape)
        factor = xp.asarray(self.factor, dtype=dtype).reshape(self.shape)
        with np.errstate(invalid="ignore"):  # what is not finite is refused with its chunk
            return (x - shift) * factor


@dataclass(frozen=True)
class Categories(Fitted):
    """Each column becomes one column a category; a value not seen in training gives zeros."""

    values: tuple[tuple[float, ...], ...]

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        columns = x.reshape(x.shape[0], -1)
        dtype = x.dtype if x.dtype.kind == "f" else xp.float32
        hot = [columns[:, i, None] == xp.asarray(known, dtype=x.dtype) for i, known in enumerate(self.values)]
        return xp.concatenate(hot, axis=1).astype(dtype)


@dataclass(frozen=True)
class Examples(Fitted):
    """The targets are the examples, after their own transforms; `flat` where the model's outputs are.

    `prepare` sees to it, which has both; where there are only targets, they pass.
    """

    flat: bool = False

    def apply(self, x: Array) -> Array:
        return x.reshape(x.shape[0], -1) if self.flat else x


@dataclass(frozen=True)
class Transform(Block):
    """The contract of a transform that is yet to be fitted."""

    kind: ClassVar[str] = "transform"

    def measure(self, x: np.ndarray) -> Measure:
        raise TypeError(f"{type(self).__name__} measures nothing")

    def combine(self, a: Measure, b: Measure) -> Measure:
        raise TypeError(f"{type(self).__name__} measures nothing")

    def fit(self, measure: Measure) -> Fitted:
        raise TypeError(f"{type(self).__name__} cannot be fitted")


@dataclass(frozen=True)
class Standardise(Transform):
    """Mean 0 and variance 1 for each feature; a feature that never varies becomes 0.

    Chunks are combined by count, mean and squared distance (Chan, Golub and LeVeque 1983).
    """

    kind: ClassVar[str] = "standardise"

    def measure(self, x: np.ndarray) -> Measure:
        wide = x.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            mean = wide.mean(axis=0)
            return len(x), mean, ((wide - mean) ** 2).sum(axis=0)

    def combine(self, a: Measure, b: Measure) -> Measure:
        (n, mean, spread), (m, other, other_spread) = a, b
        total = n + m
        with np.errstate(invalid="ignore", over="ignore"):
            step = other - mean
            return total, mean + step * (m / total), spread + other_spread + step**2 * (n * m / total)

    def fit(self, measure: Measure) -> Fitted:
        count, mean, spread = measure
        variance, rounding = spread / count, count * np.finfo(np.float64).eps
        constant = variance <= rounding * variance + (rounding * mean) ** 2  # as scikit-learn has it
        return _affine(mean, np.where(constant, np.inf, np.sqrt(variance)))


@dataclass(frozen=True)
class Scale(Transform):
    """From 0 to 1 for each feature over the training part; a feature that never varies becomes 0."""

    kind: ClassVar[str] = "scale"

    def measure(self, x: np.ndarray) -> Measure:
        return x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)

    def combine(self, a: Measure, b: Measure) -> Measure:
        return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])

    def fit(self, measure: Measure) -> Fitted:
        low, high = measure
        with np.errstate(invalid="ignore"):
            return _affine(low, np.where(high > low, high - low, np.inf))


@dataclass(frozen=True)
class Inputs(Transform):
    """For targets, alone: the examples themselves are what is learnt, as by an autoencoder."""

    kind: ClassVar[str] = "inputs"


@dataclass(frozen=True)
class OneHot(Transform):
    """Each integer column becomes one column a category of the training part."""

    kind: ClassVar[str] = "one_hot"

    def measure(self, x: np.ndarray) -> Measure:
        columns = x.reshape(len(x), -1)
        return tuple(np.unique(columns[:, i]) for i in range(columns.shape[1]))

    def combine(self, a: Measure, b: Measure) -> Measure:
        return tuple(np.union1d(i, j) for i, j in zip(a, b, strict=True))

    def fit(self, measure: Measure) -> Fitted:
        if max(len(column) for column in measure) > 10_000:
            raise InputError("transform one_hot: a column has over 10,000 values; is it a category?")
        return Categories(tuple(tuple(float(v) for v in column) for column in measure))


def _affine(shift: np.ndarray, divisor: np.ndarray) -> Affine:
    return Affine(_floats(shift), _floats(1 / divisor), shift.shape)


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in np.ravel(values))


TRANSFORMS: Table = {t.kind: t for t in (Standardise, Scale, OneHot, Inputs)}
FITTED = {f.__name__: f for f in (Pixels, Affine, Categories, Examples)}


def transform(entry: Any) -> Transform:
    return named("transform", TRANSFORMS, entry)


def to_json(fitted: Fitted) -> dict[str, Any]:
    """A fitted transform as JSON carries it."""
    return {"transform": type(fitted).__name__, **asdict(fitted)}


def from_json(value: dict[str, Any]) -> Fitted:
    """The inverse of `to_json`."""

    def tuples(v: Any) -> Any:
        return tuple(tuples(part) for part in v) if isinstance(v, list) else v

    return FITTED[value["transform"]](**{k: tuples(v) for k, v in value.items() if k != "transform"})
