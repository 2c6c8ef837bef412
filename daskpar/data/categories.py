"""Categories and labels: values that are compared, not calculated with.

Whole numbers are compared as whole numbers: from 2**53 on, two neighbours are one number in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.data.fitted import Fitted, Label, Measure, Transform
from daskpar.errors import InputError
from daskpar.registry import register

_MOST = 10_000  # different values of a column, or labels


@register("categories")
@dataclass(frozen=True)
class Categories(Fitted):
    """One-hot columns (rows, categories of all columns); a value not seen in training becomes zeros.

    `values`: the categories of each column, sorted.
    """

    values: tuple[tuple[Label, ...], ...]

    def apply(self, x: Array) -> Array:
        xp = array_module(x)
        columns = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        dtype = x.dtype if x.dtype.kind == "f" else xp.float32
        hot = [matches(columns[:, i], known) for i, known in enumerate(self.values)]
        return xp.concatenate(hot, axis=1).astype(dtype)

    def decode(self, classes: np.ndarray) -> np.ndarray:
        if len(self.values) != 1 or classes.ndim != 1:  # several columns, or one class for each output
            return classes
        return _array(self.values[0])[classes]

    @property
    def labels(self) -> tuple[Label, ...]:
        return self.values[0] if len(self.values) == 1 else ()


@register("labels")
@dataclass(frozen=True)
class Labels(Fitted):
    """Class numbers of labels (rows, ...): their indices in the sorted `values`, from 0."""

    values: tuple[Label, ...]

    def apply(self, x: Array) -> Array:
        known, labels = _array(self.values), to_numpy(x)
        if labels.dtype.kind not in {"U": "U", "f": "fiub"}.get(known.dtype.kind, "iub"):
            known_ones = listed(self.values)
            raise InputError(f"targets are {labels.dtype}; expected labels as in training: {known_ones}")
        alike = labels.astype(known.dtype, copy=False)  # a number that wraps is refused below
        classes = np.searchsorted(known, alike).clip(max=len(known) - 1)
        strange = known[classes] != labels
        if strange.any():
            raise InputError(
                f"label {labels[strange][0]!s} is none of the {len(known)} of training: {listed(self.values)}"
            )
        return classes

    def decode(self, classes: np.ndarray) -> np.ndarray:
        return _array(self.values)[classes]

    @property
    def labels(self) -> tuple[Label, ...]:
        return self.values


@register("one_hot")
@dataclass(frozen=True)
class OneHot(Transform):
    """One-hot encoding: each column becomes one column for each of its values in the training part.

    The columns of a feature are side by side, in the order of its sorted values. A value that did not occur
    in training becomes zeros. For columns of texts, or for some columns only, use `daskpar.data.Encode`.

    For targets (`targets=["one_hot"]`), a classifier predicts the labels again.

    Shape:
        - Input: (rows, ...), numbers of any dtype; targets may be texts.
        - Output: (rows, categories of all features), in the precision of the run.

    Raises:
        InputError: A feature has more than 10,000 different values.

    Example:
        >>> import numpy as np
        >>> from daskpar import OneHot
        >>> x = np.array([[7, 2], [9, 2], [7, 5]])
        >>> step = OneHot()
        >>> fitted = step.fit(step.measure(x))
        >>> fitted.apply(x)  # 7, 9, 2, 5
        array([[1., 0., 1., 0.],
               [0., 1., 1., 0.],
               [1., 0., 0., 1.]], dtype=float32)
        >>> fitted.apply(np.array([[8, 2]]))
        array([[0., 0., 1., 0.]], dtype=float32)
    """

    def measure(self, x: np.ndarray) -> Measure:
        columns = x.reshape(len(x), math.prod(x.shape[1:]))
        return tuple(np.unique(columns[:, i]) for i in range(columns.shape[1]))

    def combine(self, a: Measure, b: Measure) -> Measure:
        return tuple(np.union1d(i, j) for i, j in zip(a, b, strict=True))

    def fit(self, measure: Measure) -> Fitted:
        if max(len(column) for column in measure) > _MOST:
            raise InputError(f"transform one_hot: a column has over {_MOST:,} values; is it a category?")
        return Categories(tuple(tuple(column.tolist()) for column in measure))


@register("labels")
@dataclass(frozen=True)
class NumberLabels(Transform):
    """Class numbers for targets: sorted labels become 0, 1, 2, ...; predictions are labels again.

    Labels are texts, whole numbers, bools or floats. A Trainer applies it by itself to texts, and to whole
    numbers that are not 0, 1, 2, ... already, where the model has one output for each label. Name it
    (`targets=["labels"]`) where that does not happen, e.g. for floats.

    Shape:
        - Input: (rows, ...), labels of one dtype.
        - Output: (rows, ...), int64.

    Raises:
        InputError: There are more than 10,000 different labels.

    Example:
        >>> import numpy as np
        >>> from daskpar.data import NumberLabels
        >>> y = np.array(["dog", "cat", "dog"])
        >>> step = NumberLabels()
        >>> fitted = step.fit(step.measure(y))
        >>> fitted.apply(y)
        array([1, 0, 1])
        >>> fitted.decode(np.array([0, 1])).tolist()
        ['cat', 'dog']
    """

    def measure(self, x: np.ndarray) -> Measure:
        return (np.unique(x),)

    def combine(self, a: Measure, b: Measure) -> Measure:
        return (np.union1d(a[0], b[0]),)

    def fit(self, measure: Measure) -> Fitted:
        if len(measure[0]) > _MOST:
            raise InputError(f"targets: over {_MOST:,} different labels; are they classes?")
        return Labels(tuple(measure[0].tolist()))


def labels_in(y: np.ndarray) -> Labels | None:
    """Return the labels among targets (rows,) or (rows, 1); None if they are classes 0, 1, 2, ... already.

    Also None where there are too many different values for labels.
    """
    y = y.reshape(-1)
    if y.dtype.kind in "iu":
        low, high = int(y.min()), int(y.max())
        if low >= 0 and high < max(len(y), 2) and np.bincount(y.astype(np.int64), minlength=high + 1).all():
            return None
    values = np.unique(y)
    return Labels(tuple(values.tolist())) if len(values) <= _MOST else None


def matches(column: Array, known: Sequence[Label]) -> Array:
    """Return whether each value of a column (rows,) equals each known value: booleans (rows, values).

    Whole numbers are neither rounded to a float nor wrapped to a narrower type.
    """
    xp = array_module(column)
    dtype = column.dtype
    if dtype.kind == "U":
        return column[:, None] == xp.asarray(known)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            exact = [isinstance(v, float) or float(dtype.type(v)) == v for v in known]
        return (column[:, None] == xp.asarray(known, dtype=dtype)) & xp.asarray(exact)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    exact = [v == int(v) and low <= v <= high for v in known]
    whole = [int(v) if fits else 0 for v, fits in zip(known, exact, strict=True)]
    return (column[:, None] == xp.asarray(whole, dtype=dtype)) & xp.asarray(exact)


def _array(values: Sequence[Label]) -> np.ndarray:
    """Return the values as an array of one dtype; NumPy would convert 0 and 2**63 to floats."""
    wide = any(isinstance(value, int) and value >= 2**63 for value in values)
    return np.array(values, dtype=np.uint64 if wide else None)


def listed(values: Sequence[Label]) -> str:
    """Return a few of the values, for a message."""
    few = ", ".join(map(str, values[:5]))
    return few if len(values) <= 5 else f"{few}, ... {values[-1]}"
