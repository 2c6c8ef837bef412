"""Metrics that need all rows at once: what they need of each row is gathered, and measured at the end.

    chunk 0   (score, truth) of its rows ─┐
    chunk 1   (score, truth) of its rows ─┼─> the value, on the client
    chunk 2   (score, truth) of its rows ─┘

The value is exact, whatever the cut. It takes memory where the evaluation is asked for: about 4 bytes for
each output and 8 for the truth of each row, so 10 million rows of one output take 120 MB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.nn.gathered_rows import Columns, Rows
from daskpar.nn.loss import Loss
from daskpar.nn.metrics.metric import Metric


@dataclass(frozen=True)
class Gathered(Metric):
    """A metric of all rows at once. It defines `columns` and `measure`.

    `columns`: what is kept of each row, arrays (rows, ...) on the host. `measure`: the value of these, for
    all rows; their order is that of the cut, so it must not depend on it.
    """

    gathered: ClassVar[bool] = True

    def columns(self, outputs: Array, targets: Array, loss: Loss) -> Columns:
        """Return the part of each row that the value needs."""
        raise TypeError(f"{type(self).__name__} has no columns")

    def measure(self, columns: Columns, weights: np.ndarray | None) -> float:
        """The value over all rows. `weights`: (rows,) in float64, None where all count alike."""
        raise TypeError(f"{type(self).__name__} has no measure")

    def width(self, outputs: int) -> int:
        return 1

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Any:
        own = () if weights is None else (to_numpy(weights).astype(np.float64),)
        return (Rows((*self.columns(outputs, targets, loss), *own)),)

    def value(self, sums: Any) -> float:
        (rows,) = sums
        if not isinstance(rows, Rows) or not rows.blocks:
            return math.nan
        columns, count = rows.columns, self.width_of_rows
        weights = columns[count] if len(columns) > count else None
        return self.measure(columns[:count], weights)

    width_of_rows: ClassVar[int] = 2
    """The number of columns."""
