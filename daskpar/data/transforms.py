"""Transforms of numbers: standardise and scale; and the functions that undo the transforms of targets.

They are fitted on the training part, chunk by chunk, as `daskpar.data.fitted` describes. The fitted values
are part of the run's specification and of its checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from daskpar.backend.array import Array, array_module
from daskpar.data.fitted import TRANSFORMS, Fitted, Label, Measure, Transform
from daskpar.data.fitted_json import from_json as from_json, to_json as to_json
from daskpar.data.on_numbers import NumbersOf
from daskpar.data.records import Features, is_records
from daskpar.errors import InputError
from daskpar.registry import named, register

_FAR = 1e3  # standard deviations between 0 and the mean, beyond which float32 has too few digits for x - mean
_ROUNDING = 4 * np.finfo(np.float64).eps  # relative range of a feature, up to which it counts as constant


@register("pixels")
@dataclass(frozen=True)
class Pixels(Fitted):
    """Pixels from 0 to 1: `x / max_value`."""

    max_value: float

    def apply(self, x: Array) -> Array:
        return x * (1 / self.max_value)


@register("affine")
@dataclass(frozen=True)
class Affine(Fitted):
    """An affine map of each feature: `(x - shift) * factor`; `shape` is the shape of one example."""

    shift: tuple[float, ...]
    factor: tuple[float, ...]
    shape: tuple[int, ...]

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        floating = x.dtype.kind == "f"
        dtype = x.dtype if floating and self.fits(x.dtype) else xp.float64
        shift = xp.asarray(self.shift, dtype=dtype).reshape(self.shape)
        factor = xp.asarray(self.factor, dtype=dtype).reshape(self.shape)
        with np.errstate(invalid="ignore", over="ignore"):  # chunks are checked for infinite values later
            return ((x - shift) * factor).astype(x.dtype if floating else dtype, copy=False)

    def fits(self, dtype: DTypeLike) -> bool:
        """Return whether `dtype` has the range for x and enough digits for x - shift."""
        shift, factor = np.abs(self.shift), np.abs(self.factor)
        largest = float(np.finfo(dtype).max) / _FAR
        near = (shift * factor < _FAR) & (shift < largest) & (1 / largest < factor) & (factor < largest)
        return bool(np.all(near | np.isnan(factor) | (factor == 0)))

    def undo(self, values: Array) -> Array:
        xp = array_module(values)
        wide = values.astype(xp.float64)  # float32 has no digits left beside a mean far from zero
        shape = values.shape[1:] if math.prod(self.shape) == math.prod(values.shape[1:]) else self.shape
        factor = xp.asarray(self.factor, dtype=xp.float64).reshape(shape)
        spread = xp.where(factor == 0, 0.0, 1 / xp.where(factor == 0, 1.0, factor))
        return wide * spread + xp.asarray(self.shift, dtype=xp.float64).reshape(shape)

    def decode(self, classes: np.ndarray) -> np.ndarray:
        return self.undo(classes)


@register("examples")
@dataclass(frozen=True)
class Examples(Fitted):
    """Targets that are the transformed examples themselves; `flat` where the model's outputs are flat.

    `daskpar.data.chunk.prepare` has examples and targets, and passes the examples to `apply`.
    """

    flat: bool = False

    def apply(self, x: Array) -> Array:
        return x.reshape(x.shape[0], -1) if self.flat else x


@dataclass(frozen=True)
class _Numeric(Transform):
    """A transform of numbers; of records it transforms only the columns of numbers."""

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        return NumbersOf(self) if is_records(example.dtype) else self


@register("standardise")
@dataclass(frozen=True)
class Standardise(_Numeric):
    """Standardisation of each feature: `(x - mean) / standard deviation`.

    Mean and standard deviation (of the population, as in scikit-learn's `StandardScaler`) are those of the
    training part, for each element of an example, in float64. A feature that never varies becomes 0.

    For targets (`targets=["standardise"]`), predictions are returned in the original units. Of records, only
    the columns of numbers are standardised.

    Raises:
        InputError: The range of a feature is too wide or too narrow for float64.

    Shape:
        - Input: (rows, ...), numbers of any dtype.
        - Output: (rows, ...), in the precision of the run.

    Example:
        >>> import numpy as np
        >>> from daskpar import Standardise
        >>> x = np.array([[1.0, 50.0], [3.0, 50.0]])
        >>> step = Standardise()
        >>> fitted = step.fit(step.measure(x))
        >>> fitted.apply(x)
        array([[-1.,  0.],
               [ 1.,  0.]])
        >>> fitted.undo(np.array([[2.0, 0.0]]))
        array([[ 4., 50.]])

        A Trainer fits it chunk by chunk:

        >>> from daskpar import Trainer
        >>> trainer = Trainer([{"dense": 1}], loss="mse", transforms=["standardise"])
        >>> trainer.fit(x, x[:, :1]).predict(x).shape
        (2, 1)

    Reference:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance: analysis and
        recommendations". Chunks are combined by count, mean and the root of the sum of squared distances.
        Distances are divided by a power of two before they are squared, so that no square overflows.
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
    """Scaling of each feature to the range from 0 to 1: `(x - min) / (max - min)`.

    Minimum and maximum are those of the training part, for each element of an example. Values outside of that
    range, in other data, become less than 0 or more than 1. A feature that never varies becomes 0.

    For targets (`targets=["scale"]`), predictions are returned in the original units. Of records, only the
    columns of numbers are scaled.

    Raises:
        InputError: The range of a feature is too wide or too narrow for float64.

    Shape:
        - Input: (rows, ...), numbers of any dtype.
        - Output: (rows, ...), in the precision of the run.

    Example:
        >>> import numpy as np
        >>> from daskpar import Scale
        >>> x = np.array([[2.0], [4.0], [6.0]])
        >>> step = Scale()
        >>> fitted = step.fit(step.measure(x))
        >>> fitted.apply(np.array([[4.0], [7.0]]))
        array([[0.5 ],
               [1.25]])
    """

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
    """Targets that are the examples themselves, as for an autoencoder; the only entry of `targets`.

    The given targets are not used. Where the model's outputs are flat, so are these targets.

    Example:
        >>> import numpy as np
        >>> from daskpar import Trainer
        >>> x = np.eye(4, dtype="float32")
        >>> layers = [{"dense": 2}, {"dense": 4}]
        >>> autoencoder = Trainer(layers, loss="mse", targets=["inputs"]).fit(x, x)
        >>> autoencoder.predict(x).shape
        (4, 4)
    """


def _ends(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])


def _affine(kind: str, shift: np.ndarray, divisor: np.ndarray, low: np.ndarray, high: np.ndarray) -> Affine:
    """Return the map (x - shift) / divisor of features with values from `low` to `high`.

    Features whose ends differ only by rounding are mapped to 0. Raises InputError where float64 cannot hold
    the divisor of finite features, or its reciprocal.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        constant = high - low <= _ROUNDING * np.maximum(np.abs(low), np.abs(high))
        factor = np.where(constant, 0.0, 1 / divisor)
        lost = ~constant & (np.isinf(shift) | np.isinf(factor) | ~(factor > 0))
    lost &= np.isfinite(low) & np.isfinite(high)  # chunks are checked for infinite values afterwards
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
    """Return the transform of an entry: a `Transform`, a name, or a mapping of a name to its arguments.

    Raises InputError for an unknown name or argument.

    >>> from daskpar.data import transform
    >>> transform({"encode": {"one_hot": ["city"]}})
    Encode(one_hot=('city',))
    """
    return named(TRANSFORMS, entry)


def undo(targets: Sequence[Fitted], values: Array) -> Array:
    """Return predicted numbers (rows, ...) in the units of the targets before their transforms."""
    for fitted in reversed(targets):
        values = fitted.undo(values)
    return values


def dtype_of_units(targets: Sequence[Fitted], dtype: DTypeLike) -> np.dtype:
    """Return the dtype for `undo`: `dtype`, or float64 where `dtype` lacks range or digits."""
    fit = all(fitted.fits(dtype) for fitted in targets if isinstance(fitted, Affine))
    return np.dtype(dtype) if fit else np.dtype(np.float64)


def decode(targets: Sequence[Fitted], classes: np.ndarray) -> np.ndarray:
    """Return the labels (rows,) of class numbers (rows,), as the targets had them before their transforms."""
    for fitted in reversed(targets):
        classes = fitted.decode(classes)
    return classes


def labels_of(targets: Sequence[Fitted]) -> tuple[Label, ...]:
    """Return the labels in the order of their class numbers; () where no transform numbers labels."""
    return next((fitted.labels for fitted in targets if fitted.labels), ())
