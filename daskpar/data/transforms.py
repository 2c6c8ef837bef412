"""Preparing chunks: standardise, scale, one-hot; fitted on the training part, chunk by chunk.

A transform measures each chunk (`measure`), adds the measures of chunks (`combine`) and becomes a `Fitted`
(`fit`), a plain value that travels with the run and lies in its checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module
from daskpar.data.fitted import FITTED, TRANSFORMS, Fitted, Label, Measure, Transform
from daskpar.data.on_numbers import NumbersOf
from daskpar.data.records import Features, is_records
from daskpar.errors import InputError, unknown
from daskpar.registry import named, register

_FAR = 1e3  # a mean, in deviations: beyond it float32 has too few digits for their difference
_ROUNDING = 4 * np.finfo(np.float64).eps  # of a feature: what differs by no more is constant


@register("pixels")
@dataclass(frozen=True)
class Pixels(Fitted):
    """x / max_value: pixels from 0 to 1."""

    max_value: float

    def apply(self, x: Array) -> Array:
        return x * (1 / self.max_value)


@register("affine")
@dataclass(frozen=True)
class Affine(Fitted):
    """(x - shift) · factor, feature by feature; `shape` is that of one example."""

    shift: tuple[float, ...]
    factor: tuple[float, ...]
    shape: tuple[int, ...]

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        floating = x.dtype.kind == "f"
        dtype = x.dtype if floating and self.fits(x.dtype) else xp.float64
        shift = xp.asarray(self.shift, dtype=dtype).reshape(self.shape)
        factor = xp.asarray(self.factor, dtype=dtype).reshape(self.shape)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused with its chunk
            return ((x - shift) * factor).astype(x.dtype if floating else dtype, copy=False)

    def fits(self, dtype: DTypeLike) -> bool:
        """Return whether numbers of `dtype` hold x, and digits enough for x less its shift."""
        shift, factor = np.abs(self.shift), np.abs(self.factor)
        largest = float(np.finfo(dtype).max) / _FAR
        near = (shift * factor < _FAR) & (shift < largest) & (1 / largest < factor) & (factor < largest)
        return bool(np.all(near | np.isnan(factor) | (factor == 0)))

    def undo(self, values: Array) -> Array:
        xp = array_module(values)
        wide = values.astype(xp.float64)  # a mean far from zero leaves float32 no digits for the rest
        shape = values.shape[1:] if math.prod(self.shape) == math.prod(values.shape[1:]) else self.shape
        factor = xp.asarray(self.factor, dtype=xp.float64).reshape(shape)
        spread = xp.where(factor == 0, 0.0, 1 / xp.where(factor == 0, 1.0, factor))
        return wide * spread + xp.asarray(self.shift, dtype=xp.float64).reshape(shape)

    def decode(self, classes: np.ndarray) -> np.ndarray:
        return self.undo(classes)


@register("examples")
@dataclass(frozen=True)
class Examples(Fitted):
    """The targets are the examples, after their own transforms; `flat` where the model's outputs are.

    `prepare` sees to it, which has both; where there are only targets, they pass.
    """

    flat: bool = False

    def apply(self, x: Array) -> Array:
        return x.reshape(x.shape[0], -1) if self.flat else x


@dataclass(frozen=True)
class _Numeric(Transform):
    """A transform of numbers, which of records sees the columns of numbers alone."""

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        return NumbersOf(self) if is_records(example.dtype) else self


@register("standardise")
@dataclass(frozen=True)
class Standardise(_Numeric):
    """Mean 0 and variance 1 for each feature; a feature that never varies becomes 0.

    Chunks are combined by count, mean and the root of the squared distances (Chan, Golub and LeVeque 1983).
    Distances are divided by a power of two before they are squared, so that no square overflows or vanishes.
    """

    def measure(self, x: np.ndarray) -> Measure:
        away = x.astype(np.float64)
        low, high = away.min(axis=0), away.max(axis=0)
        with np.errstate(invalid="ignore", over="ignore"):
            middle = low / 2 + high / 2
            size = np.ldexp(1.0, np.frexp(high / 2 - low / 2)[1] - 1)
            away -= middle
            away /= size
            offset = away.mean(axis=0)
            away *= away
            root = np.sqrt(np.maximum(away.sum(axis=0) - len(x) * offset * offset, 0))
            return len(x), middle + offset * size, root * size, low, high

    def combine(self, a: Measure, b: Measure) -> Measure:
        (n, mean, root, *ends), (m, other, other_root, *other_ends) = a, b
        total = n + m
        with np.errstate(invalid="ignore", over="ignore"):
            step = other - mean
            between = step * math.sqrt(n * m / total)
            root = np.hypot(np.hypot(root, other_root), between)
            return total, mean + step * (m / total), root, *_ends(ends, other_ends)

    def fit(self, measure: Measure) -> Fitted:
        count, mean, root, low, high = measure
        return _affine(self.kind, mean, root / math.sqrt(count), low, high)


@register("scale")
@dataclass(frozen=True)
class Scale(_Numeric):
    """From 0 to 1 for each feature over the training part; a feature that never varies becomes 0."""

    def measure(self, x: np.ndarray) -> Measure:
        return x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)

    def combine(self, a: Measure, b: Measure) -> Measure:
        return _ends(a, b)

    def fit(self, measure: Measure) -> Fitted:
        low, high = measure
        with np.errstate(invalid="ignore", over="ignore"):
            return _affine(self.kind, low, high - low, low, high)


@register("inputs")
@dataclass(frozen=True)
class Inputs(Transform):
    """For targets, alone: the examples themselves are what is learnt, as by an autoencoder."""


def _ends(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])


def _affine(kind: str, shift: np.ndarray, divisor: np.ndarray, low: np.ndarray, high: np.ndarray) -> Affine:
    """(x - shift) / divisor for features from `low` to `high`; 0 where these differ by rounding alone.

    Raises InputError where float64 cannot hold the divisor of finite features, or one by it.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        constant = high - low <= _ROUNDING * np.maximum(np.abs(low), np.abs(high))
        factor = np.where(constant, 0.0, 1 / divisor)
        lost = ~constant & (np.isinf(shift) | np.isinf(factor) | ~(factor > 0))
    lost &= np.isfinite(low) & np.isfinite(high)  # what is not finite is refused with its chunk
    if lost.any():
        first = int(np.argmax(np.ravel(lost)))
        ends = " to ".join(f"{float(np.ravel(end)[first]):.3g}" for end in (low, high))
        raise InputError(
            f"{kind}: feature {first} reaches from {ends}: too wide or too narrow for float64; multiply it "
            "by a number that brings it nearer to 1"
        )
    return Affine(_floats(shift), _floats(factor), np.shape(shift))


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in np.ravel(values))


def transform(entry: object) -> Transform:
    return named(TRANSFORMS, entry)


def undo(targets: Sequence[Fitted], values: Array) -> Array:
    """Return numbers (rows, ...) of a model in the units of its targets before they were transformed."""
    for fitted in reversed(targets):
        values = fitted.undo(values)
    return values


def dtype_of_units(targets: Sequence[Fitted], dtype: DTypeLike) -> np.dtype:
    """Return the dtype that `undo` needs: `dtype`, or float64 where that lacks range or digits."""
    fit = all(fitted.fits(dtype) for fitted in targets if isinstance(fitted, Affine))
    return np.dtype(dtype) if fit else np.dtype(np.float64)


def decode(targets: Sequence[Fitted], classes: np.ndarray) -> np.ndarray:
    """Return the labels of class numbers, as the targets held them before they were transformed."""
    for fitted in reversed(targets):
        classes = fitted.decode(classes)
    return classes


def labels_of(targets: Sequence[Fitted]) -> tuple[Label, ...]:
    """Return the labels that transforms of targets number, in order; empty where none does."""
    return next((fitted.labels for fitted in targets if fitted.labels), ())


def to_json(fitted: Fitted) -> dict[str, object]:
    """A fitted transform as JSON carries it. Raises InputError where its class is not registered."""
    if FITTED.get(fitted.kind) is not type(fitted):
        name = type(fitted).__name__
        raise InputError(f"transforms: {name} is not registered; put @register({name.lower()!r}) before it")
    values = {field.name: getattr(fitted, field.name) for field in fields(fitted)}
    return {
        "transform": fitted.kind,
        **{name: to_json(value) if isinstance(value, Fitted) else value for name, value in values.items()},
    }


Json = Any  # whatever JSON holds: the fields of a transform say which


def from_json(value: dict[str, Any]) -> Fitted:
    """The inverse of `to_json`."""

    def tuples(v: Json) -> Json:
        if isinstance(v, dict):
            return from_json(v)
        return tuple(tuples(part) for part in v) if isinstance(v, list) else v

    kind = value["transform"].lower()  # checkpoints of earlier versions have the name of the class
    if kind not in FITTED:
        raise unknown(FITTED.what, kind, FITTED)
    return FITTED[kind](**{k: tuples(v) for k, v in value.items() if k != "transform"})
