"""The facts of a training that decide whether a layout can be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from daskpar.optim.optimizer import Optimizer


class Measured(Protocol):
    """A loss or a metric, as far as the cuts ask about it."""

    kind: ClassVar[str]

    @property
    def over_positions(self) -> str:
        """The way a sequence's follows from its positions: as their `sum`, or their `mean`, or not ("")."""


@dataclass(frozen=True)
class Demands:
    """The demands of a training on its layout, as far as the cuts ask about them.

    `batch`: rows of a global batch. `accumulate`: slices in which a lane works through its rows.
    `parameters`: numbers that are trained. `outer`: the optimizer between averages, if there is one.
    `clips_norm`: whether gradients are clipped by the norm of all of them. `synchronised`: the kind of the
    first layer whose statistics are those of the whole batch, or None. `measures`: the loss and the metrics.
    `in_units`: whether metrics are in the units of targets that were transformed.
    """

    batch: int
    parameters: int
    optimizer: Optimizer
    outer: Optimizer | None = None
    accumulate: int = 1
    clips_norm: bool = False
    synchronised: str | None = None
    measures: tuple[Measured, ...] = ()
    in_units: bool = False
