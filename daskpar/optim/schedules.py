"""Learning rate schedules: the factor that multiplies the optimizer's rate at each step.

`factor(step, total)` is a pure function of the step (from 0) and the number of steps of the run. A
schedule that goes by a metric (`ReduceOnPlateau`) keeps its factor in the state of the run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from daskpar.errors import InputError
from daskpar.registry import Table, register
from daskpar.settings import Block


@dataclass(frozen=True)
class Schedule(Block):
    """The contract of a schedule: `warmup` steps of a linear rise from 0, then the schedule itself.

    One of one's own defines `_after(step, total)`: the factor at a step, from 0, of those after the warm-up.

    >>> class Root(Schedule):
    ...     def _after(self, step, total):
    ...         return (1 + step) ** -0.5
    >>> [Root(warmup=1).factor(step, 5) for step in (0, 1, 4)]
    [0.5, 1.0, 0.5]
    """

    warmup: int = 0
    kind: ClassVar[str] = "schedule"

    def __post_init__(self) -> None:
        for name in ("every", "patience"):
            value = getattr(self, name, 1)
            if value < 1:
                raise InputError(f"schedule {self.kind}.{name}={value} must be at least 1")
        for name in ("factor_each", "floor", "peak_at", "start"):
            value = getattr(self, name, 0.5)
            if not 0 <= value <= 1:
                raise InputError(f"schedule {self.kind}.{name}={value} must be from 0 to 1")
        if self.warmup < 0:
            raise InputError(f"schedule {self.kind}.warmup={self.warmup} must not be negative")

    def factor(self, step: int, total: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return self._after(step - self.warmup, max(1, total - self.warmup))

    def _after(self, step: int, total: int) -> float:
        return 1.0


SCHEDULES = Table("schedule", Schedule, "daskpar.optim")


@register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate as it is, after the warm-up."""


@register("linear")
@dataclass(frozen=True)
class Linear(Schedule):
    """Falls in a straight line from 1 to `floor`, which is reached when the run ends."""

    floor: float = 0.0

    def _after(self, step: int, total: int) -> float:
        return self.floor + (1 - self.floor) * (1 - min(step / total, 1.0))


@register("step")
@dataclass(frozen=True)
class Step(Schedule):
    """Times `factor_each` every `every` steps."""

    every: int = 1000
    factor_each: float = 0.1

    def _after(self, step: int, total: int) -> float:
        return self.factor_each ** (step // self.every)


@register("exponential")
@dataclass(frozen=True)
class Exponential(Schedule):
    """Falls smoothly, by `factor_each` over every `every` steps."""

    every: int = 1000
    factor_each: float = 0.5

    def _after(self, step: int, total: int) -> float:
        return self.factor_each ** (step / self.every)


@register("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, eq. 5, one period)."""

    floor: float = 0.0

    def _after(self, step: int, total: int) -> float:
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))


@register("one_cycle")
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine up from `start` to 1 at the share `peak_at` of the run, then down to `floor` (Smith 2018)."""

    peak_at: float = 0.3
    start: float = 0.04
    floor: float = 1e-5

    def _after(self, step: int, total: int) -> float:
        rise = self.peak_at * total
        if step < rise:
            low, share = self.start, 1 - step / rise
        else:
            low, share = self.floor, min(1.0, (step - rise) / max(1.0, total - rise))
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share))


@register("reduce_on_plateau")
@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Times `factor_each` when `monitor` has not improved for `patience` evaluations, never below `floor`."""

    monitor: str = "validation.loss"
    factor_each: float = 0.1
    patience: int = 3
    floor: float = 0.0
