"""The facts of a training that decide whether a layout can be had."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.optim.optimizer import Optimizer


@dataclass(frozen=True)
class Demands:
    """The demands of a training on its layout, as far as the cuts ask about them.

    `batch`: rows of a global batch. `accumulate`: slices in which a lane works through its rows.
    `parameters`: numbers that are trained. `outer`: the optimizer between averages, if there is one.
    `clips_norm`: whether gradients are clipped by the norm of all of them. `synchronised`: the kind of the
    first layer whose statistics are those of the whole batch, or None.
    """

    batch: int
    parameters: int
    optimizer: Optimizer
    outer: Optimizer | None = None
    accumulate: int = 1
    clips_norm: bool = False
    synchronised: str | None = None
