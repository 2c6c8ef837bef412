"""The sizes that a model leaves to the data: words, outputs, categories of columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskpar.data.encode import Encoded
from daskpar.data.fitted import Fitted, Measure, Transform
from daskpar.data.source import Source
from daskpar.data.transforms import Examples, labels_of
from daskpar.nn import registry as nn
from daskpar.nn.open_sizes import Sizes, open_in
from daskpar.train.measuring import Measuring
from daskpar.train.settings import Settings


@dataclass(frozen=True)
class Largest(Transform):
    """Measure of the largest whole number; -1 where there is none."""

    def measure(self, x: np.ndarray) -> Measure:
        """Return the largest number of some rows."""
        return (int(x.max()) if x.size and x.dtype.kind in "iub" else -1,)

    def combine(self, a: Measure, b: Measure) -> Measure:
        """Return the larger of two measures."""
        return (max(a[0], b[0]),)


def find_sizes(
    settings: Settings,
    transforms: Sequence[Fitted],
    targets: Sequence[Fitted],
    example: np.ndarray,
    measuring: Measuring,
) -> Sizes:
    """Return the sizes that the model leaves open; the data are read only for these.

    `example` (1, ...) is one example after the transforms.
    """
    wanted = set(open_in(nn.model(settings.model)))
    source = measuring.part.source
    words = _words(source, measuring) if "words" in wanted else None
    outputs = _outputs(settings, source, targets, example, measuring) if "outputs" in wanted else None
    return Sizes(words or None, outputs or None, categories_of(transforms) if "columns" in wanted else ())


def categories_of(transforms: Sequence[Fitted]) -> tuple[int, ...]:
    """Return the number of categories of each column that a transform encodes."""
    return next((fitted.embedded for fitted in transforms if isinstance(fitted, Encoded)), ())


def _words(source: Source, measuring: Measuring) -> int:
    """Return the number of words or characters; without an alphabet, the largest number plus one."""
    if source.tokens:
        return len(source.names)
    return int(measuring.of_all_rows().measure(Largest(), (), "x", "words")[0]) + 1


def _outputs(
    settings: Settings,
    source: Source,
    targets: Sequence[Fitted],
    example: np.ndarray,
    measuring: Measuring,
) -> int:
    """Return the number of outputs that the targets need: of classes, of characters, or of numbers."""
    loss = nn.loss(settings.loss)
    if targets and isinstance(targets[0], Examples):
        return math.prod(example.shape[1:]) if len(example.shape) == 2 else example.shape[-1]
    if loss.task != "classes":
        return _after(targets, source)
    if source.tokens or source.names:
        return len(source.names)
    labels = labels_of(targets)
    if labels:
        return len(labels)
    dtype = np.dtype(source.y_dtype)
    if dtype.kind == "f":
        return source.y_shape[-1] if source.y_shape else 0
    if dtype.kind == "b":
        return 2
    y = source.plain_targets()
    passes = measuring.of_all_rows()
    largest = passes.measure(Largest(), (), "y", "outputs")[0] if y is None else int(y.max())
    hot = source.y_shape[-1] if largest == 1 and len(source.y_shape) == 1 else 1
    return hot if hot > 1 else int(largest) + 1


def _after(targets: Sequence[Fitted], source: Source) -> int:
    """Return the size of a target after the transforms of labels."""
    if labels_of(targets):
        return 1
    return math.prod(source.y_shape)
