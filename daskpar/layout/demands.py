"""The facts of a training that decide if a layout can cut it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from daskpar.optim.optimizer import Optimizer


class Measured(Protocol):
    """A loss or a metric, as far as cuts depend on it."""

    kind: ClassVar[str]

    @property
    def over_positions(self) -> str:
        """The way in which a sequence's value follows from its positions: `sum`, `mean`, or "" for none."""


@dataclass(frozen=True)
class Demands:
    """The demands of a training on its layout.

    Args:
        batch: Rows of a global batch.
        parameters: Number of trained elements.
        optimizer: Optimizer of the training.
        outer: Optimizer that is applied to averages of replicas. Default: None.
        accumulate: Slices in which a lane works through its rows. Default: 1.
        clips_norm: True if gradients are clipped by the norm of all of them. Default: False.
        synchronised: Kind of the first layer that uses statistics of the whole batch. Default: None.
        measures: The loss and the metrics. Default: none.
        in_units: True if metrics are in the units of targets that were transformed. Default: False.
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
