"""Metrics that need all rows at once: some values of each row are gathered, and measured at the end.

    chunk 0   (score, truth) of its rows ─┐
    chunk 1   (score, truth) of its rows ─┼─> the value, on the client
    chunk 2   (score, truth) of its rows ─┘

The value is exact under any layout. It needs memory in the process that asks for the evaluation: about 4
bytes for each output and 8 bytes for the truth of each row, e.g. 120 MB for 10 million rows of one output.
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
    """Base class of metrics of all rows at once. Subclasses define `columns` and `measure`.

    Attributes:
        width_of_rows: Number of arrays that `columns` returns. Default: 2.
    """

    gathered: ClassVar[bool] = True
    width_of_rows: ClassVar[int] = 2

    def columns(self, outputs: Array, targets: Array, loss: Loss) -> Columns:
        """Return the values of each row that `measure` needs: a tuple of arrays (rows, ...) on the host.

        The arguments are those of `sums`.
        """
        raise TypeError(f"{type(self).__name__} does not define columns")

    def measure(self, columns: Columns, weights: np.ndarray | None) -> float:
        """Return the value over all rows. It must not depend on their order.

        Args:
            columns: Arrays (rows, ...) of all rows, as `columns` returns them.
            weights: (rows,) weights in float64. None weighs all alike.
        """
        raise TypeError(f"{type(self).__name__} does not define measure")

    def width(self, outputs: int) -> int:
        return 1

    def sums(self, outputs: Array, targets: Array, loss: Loss, weights: Array | None = None) -> Any:
        weight_column = () if weights is None else (to_numpy(weights).astype(np.float64),)
        return (Rows((*self.columns(outputs, targets, loss), *weight_column)),)

    def value(self, sums: Any) -> float:
        (rows,) = sums
        if not isinstance(rows, Rows) or not rows.blocks:
            return math.nan
        columns, count = rows.columns, self.width_of_rows
        weights = columns[count] if len(columns) > count else None
        return self.measure(columns[:count], weights)
