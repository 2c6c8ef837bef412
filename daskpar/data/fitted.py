r"""The two contracts of transforms: `Transform`, still to be fitted, and `Fitted`, with its numbers.

    chunk 0 -- measure --\
                          combine -- fit --> Fitted -- apply --> examples of any chunk
    chunk 1 -- measure --/

The chunks of the training part are measured on the workers, each by itself. The measures are combined in a
tree, so a transform never sees all rows at once.
"""

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
    """The contract of a fitted transform: a pure function of chunks of examples or targets.

    `apply` must be implemented. Transforms of targets have a way back, too: `undo` for the numbers that a
    model of numbers predicts, `decode` for the classes that a classifier chooses. Both return their argument
    by default.

    Checkpoints contain the fields of the dataclass as JSON. Fields are therefore numbers, texts, tuples of
    these, or other fitted transforms, and the class is registered with `daskpar.register("name")`.

    Attributes:
        kind: The registered name. Checkpoints refer to the class by it.
        fills: True if `apply` replaces missing values. Default: False.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from daskpar import Fitted, register
        >>> @register("logarithm")
        ... @dataclass(frozen=True)
        ... class Logarithm(Fitted):
        ...     offset: float
        ...     def apply(self, x):
        ...         return np.log10(x + self.offset).astype(x.dtype)
        ...     def undo(self, values):
        ...         return 10**values - self.offset
        >>> fitted = Logarithm(offset=1.0)
        >>> fitted.apply(np.array([0.0, 9.0, 99.0]))
        array([0., 1., 2.])
        >>> fitted.undo(np.array([2.0]))
        array([99.])
    """

    kind: ClassVar[str] = "fitted"
    fills: ClassVar[bool] = False
    """True where `apply` replaces missing values."""

    def apply(self, x: Array) -> Array:
        """Return the transformed rows of a chunk, without changing `x`.

        `x` (rows, ...) is an array of NumPy or CuPy in the precision of the run, in a wider dtype where that
        cannot hold it, or records (rows,) (`daskpar.data.records`). Return as many rows. Floats keep their
        dtype. A row must not depend on the other rows of its chunk.
        """
        raise TypeError(f"{type(self).__name__} has no apply(); a Fitted must implement it")

    def undo(self, values: Array) -> Array:
        """Return numbers (rows, ...) in the units that they had before `apply`. Default: `values` itself."""
        return values

    def decode(self, classes: np.ndarray) -> np.ndarray:
        """Return the labels (rows,) of class numbers (rows,), the inverse of `apply`. Default: `classes`."""
        return classes

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels in the order of their class numbers; () where the transform does not number classes."""
        return ()


@dataclass(frozen=True)
class Transform(Block):
    """The contract of a transform of examples or targets that is fitted on the training part.

    A subclass implements three methods: `measure` summarises one chunk, `combine` joins two summaries, and
    `fit` makes a `Fitted` of the summary of all rows. `combine` must not depend on the order of its
    arguments beyond rounding. Fields are hyper-parameters.

    Pass transforms to a Trainer as `transforms=[...]` for examples or `targets=[...]` for targets, in the
    order in which they are applied. A config names the class, so register it with `daskpar.register("name")`.
    Register the `Fitted` that it becomes as well: checkpoints name that one.

    Attributes:
        kind: The registered name, e.g. "standardise".
        keeps_missing: True if missing values pass unchanged, so that `impute` may come later. Default: False.

    Raises:
        InputError: A field has a value of the wrong type or outside of its bounds.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from daskpar import Fitted, Transform
        >>> class Largest(Transform):  # x / max |x|
        ...     def measure(self, x):
        ...         return (float(abs(x).max()),)
        ...     def combine(self, a, b):
        ...         return max(a, b)
        ...     def fit(self, measure):
        ...         return Quotient(*measure)
        >>> @dataclass(frozen=True)
        ... class Quotient(Fitted):
        ...     divisor: float
        ...     def apply(self, x):
        ...         return x * (1 / self.divisor)
        >>> step = Largest()
        >>> chunks = np.array([2.0, -4.0]), np.array([1.0])
        >>> fitted = step.fit(step.combine(*map(step.measure, chunks)))
        >>> fitted
        Quotient(divisor=4.0)
        >>> fitted.apply(chunks[0])
        array([ 0.5, -1. ])
    """

    kind: ClassVar[str] = "transform"
    keeps_missing: ClassVar[bool] = False
    """True where missing values pass unchanged, so that `impute` may come later."""

    def on_columns(self, features: Features, example: np.ndarray) -> Transform:
        """Return the transform for examples with these columns, before anything is measured.

        It is called for transforms of examples, not for those of targets. Override it to look up columns by
        name, or to work on records. Default: the transform itself.

        Args:
            features: Name and kind of each column; () where the columns have no names.
            example: A few rows, or none, with the dtype and the shape that the transform will see.

        Raises:
            InputError: The transform cannot work on such columns. By default that holds for records with
                texts (`daskpar.data.records`).
        """
        if is_records(example.dtype):
            named = listed_names(tuple(c for c in kinds(example.dtype) if c.kind == TEXT))
            raise InputError(f"transform {self.kind}: columns {named} hold texts; put encode before it")
        return self

    def measure(self, x: np.ndarray) -> Measure:
        """Return a summary of a chunk (rows, ...), as a tuple that can be pickled; do not change `x`."""
        raise TypeError(f"{type(self).__name__} has no measure(); a Transform must implement it")

    def combine(self, a: Measure, b: Measure) -> Measure:
        """Return the summary of two sets of rows from the summary of each."""
        raise TypeError(f"{type(self).__name__} has no combine(); a Transform must implement it")

    def fit(self, measure: Measure) -> Fitted:
        """Return the fitted transform, given the summary of all training rows.

        Raises:
            InputError: The rows cannot be transformed, e.g. a column has no values. Name the column.
        """
        raise TypeError(f"{type(self).__name__} has no fit(); a Transform must implement it")


FITTED = Table("fitted transform", Fitted, "daskpar.data")
TRANSFORMS = Table("transform", Transform, "daskpar.data")
