"""The contracts of transforms: one that is yet to be fitted, and one with its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array
from daskpar.data.records import TEXT, Features, is_records, kinds, listed_names
from daskpar.errors import InputError
from daskpar.registry import Table
from daskpar.settings import Block

Label = int | float | str
Measure = tuple[Any, ...]


@dataclass(frozen=True)
class Fitted:
    """A transform with its numbers: `apply(x)` is a pure function that keeps rows and dtype.

    Of targets there is a way back, too: `undo` for the numbers that a model of numbers returns, `decode` for
    the classes that a classifier chooses.

    A run's checkpoints hold its fields, so they are numbers, texts and tuples of these, and the class is
    registered.
    """

    kind: ClassVar[str] = "fitted"
    fills: ClassVar[bool] = False
    """True where it puts values in the place of missing ones."""

    def apply(self, x: Array) -> Array:
        raise TypeError(f"{type(self).__name__} has no apply")

    def undo(self, values: Array) -> Array:
        """Return numbers (rows, ...) in the units that they had before `apply`."""
        return values

    def decode(self, classes: np.ndarray) -> np.ndarray:
        """Return the labels of class numbers, which `apply` has made from them."""
        return classes

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels by class number; empty where the transform does not number classes."""
        return ()


@dataclass(frozen=True)
class Transform(Block):
    """The contract of a transform that is yet to be fitted.

    `measure(x)` of each chunk (rows, ...), `combine` of two measures, and `fit(measure) -> Fitted`. A config
    names the class, and checkpoints that of what it becomes, so both are registered.

    >>> class Largest(Transform):
    ...     def measure(self, x):
    ...         return (float(abs(x).max()),)
    ...     def combine(self, a, b):
    ...         return max(a, b)
    ...     def fit(self, measure):
    ...         return Divided(*measure)
    >>> @dataclass(frozen=True)
    ... class Divided(Fitted):
    ...     by: float
    ...     def apply(self, x):
    ...         return x * (1 / self.by)
    >>> Largest().fit((4.0,)).apply(np.array([2.0, -4.0]))
    array([ 0.5, -1. ])
    """

    kind: ClassVar[str] = "transform"
    keeps_missing: ClassVar[bool] = False
    """True where NaN may pass through it, as those do that a later transform puts a value for."""

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        """Return the transform for examples with these columns, of the dtype and shape of the rows `example`.

        Raises InputError where it can do nothing for records (`daskpar.data.records`).
        """
        if is_records(example.dtype):
            named = listed_names(tuple(c for c in kinds(example.dtype) if c.kind == TEXT))
            raise InputError(f"transform {self.kind}: columns {named} hold texts; put encode before it")
        return self

    def measure(self, x: np.ndarray) -> Measure:
        raise TypeError(f"{type(self).__name__} measures nothing")

    def combine(self, a: Measure, b: Measure) -> Measure:
        raise TypeError(f"{type(self).__name__} measures nothing")

    def fit(self, measure: Measure) -> Fitted:
        raise TypeError(f"{type(self).__name__} cannot be fitted")


FITTED = Table("fitted transform", Fitted, "daskpar.data")
TRANSFORMS = Table("transform", Transform, "daskpar.data")
