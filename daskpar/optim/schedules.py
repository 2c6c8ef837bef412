"""Learning rate schedules: the factor that multiplies the optimizer's learning rate at each step.

`factor(step, total)` is a pure function of the step, from 0, and of the number of steps of the run.
`ReduceOnPlateau` also depends on a metric: its factor is part of the state of the run.

    1 |    ____        constant          1 |    .            linear, cosine
      |   /                                |   / `.
      |  /                                 |  /    `.
    0 | / warm-up                        0 | /       `.
      +-----------> step                   +-----------> step
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
    """Base class of schedules: `warmup` steps of linear increase, then the schedule itself.

    During the warm-up the factor is (step + 1) / (warmup + 1).

    To write a schedule, derive from this class and define `_after(step, total)`. It returns the factor at a
    step after the warm-up; `step` counts from 0 at the end of the warm-up, and `total` is the number of steps
    after it. Decorate the class with `@register("name")` to use it in a config.

    Args:
        warmup: Number of steps of the warm-up. Default: 0.

    Raises:
        InputError: `warmup` is negative, `every` or `patience` is below 1, or `factor_each`, `floor`,
            `peak_at` or `start` is not from 0 to 1. Subclasses that have these fields need not check them.

    Example:
        >>> from daskpar import Schedule
        >>> class Root(Schedule):
        ...     def _after(self, step, total):
        ...         return (1 + step) ** -0.5
        >>> [Root(warmup=1).factor(step, 5) for step in (0, 1, 4)]
        [0.5, 1.0, 0.5]

        A Trainer accepts it like any other: `Trainer(model, schedule=Root(warmup=100))`.

    Reference:
        Goyal et al. 2017, "Accurate, large minibatch SGD: Training ImageNet in 1 hour", section 2.2
        (warm-up). https://arxiv.org/abs/1706.02677
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
        """Return the factor of the learning rate at a step.

        Args:
            step: Number of the step, from 0.
            total: Number of steps of the run, with the warm-up.
        """
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return self._after(step - self.warmup, max(1, total - self.warmup))

    def _after(self, step: int, total: int) -> float:
        """Return the factor at a step after the warm-up.

        `step` counts from 0 at the end of the warm-up. `total`, at least 1, is the number of steps after it.
        """
        return 1.0


SCHEDULES = Table("schedule", Schedule, "daskpar.optim")


@register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """Constant learning rate.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.

    Raises:
        InputError: `warmup` is negative.

    Example:
        >>> from daskpar import Constant
        >>> schedule = Constant(warmup=3)
        >>> [schedule.factor(step, total=100) for step in range(5)]
        [0.25, 0.5, 0.75, 1.0, 1.0]
    """


@register("linear")
@dataclass(frozen=True)
class Linear(Schedule):
    """Linear decrease from 1 to `floor`, which is reached at the end of the run.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.
        floor: Factor at the end, from 0 to 1: a multiple of the optimizer's learning rate. Default: 0.

    Raises:
        InputError: A number is out of its range.

    Example:
        >>> from daskpar import Linear
        >>> [Linear().factor(step, total=4) for step in range(5)]
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """

    floor: float = 0.0

    def _after(self, step: int, total: int) -> float:
        return self.floor + (1 - self.floor) * (1 - min(step / total, 1.0))


@register("step")
@dataclass(frozen=True)
class Step(Schedule):
    """Staircase: multiplies the learning rate by `factor_each` every `every` steps.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.
        every: Number of steps between two changes. Default: 1000.
        factor_each: Factor of each change, from 0 to 1. Default: 0.1.

    Raises:
        InputError: A number is out of its range.

    Example:
        >>> from daskpar import Step
        >>> [Step(every=2, factor_each=0.5).factor(step, total=6) for step in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    every: int = 1000
    factor_each: float = 0.1

    def _after(self, step: int, total: int) -> float:
        return self.factor_each ** (step // self.every)


@register("exponential")
@dataclass(frozen=True)
class Exponential(Schedule):
    """Exponential decay: `Step` without stairs, `factor_each ** (step / every)`.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.
        every: Number of steps over which the learning rate falls by `factor_each`. Default: 1000.
        factor_each: Factor over `every` steps, from 0 to 1. Default: 0.5.

    Raises:
        InputError: A number is out of its range.

    Example:
        >>> from daskpar import Exponential
        >>> [round(Exponential(every=2, factor_each=0.25).factor(step, total=4), 3) for step in range(5)]
        [1.0, 0.5, 0.25, 0.125, 0.062]
    """

    every: int = 1000
    factor_each: float = 0.5

    def _after(self, step: int, total: int) -> float:
        return self.factor_each ** (step / self.every)


@register("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a period of a cosine, from 1 to `floor`, which is reached at the end of the run.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.
        floor: Factor at the end, from 0 to 1: a multiple of the optimizer's learning rate. Default: 0.

    Raises:
        InputError: A number is out of its range.

    Example:
        >>> from daskpar import Cosine
        >>> [round(Cosine(floor=0.1).factor(step, total=4), 2) for step in range(5)]
        [1.0, 0.87, 0.55, 0.23, 0.1]

    Reference:
        Loshchilov and Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts", equation 5 (one
        period). https://arxiv.org/abs/1608.03983
    """

    floor: float = 0.0

    def _after(self, step: int, total: int) -> float:
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))


@register("one_cycle")
@dataclass(frozen=True)
class OneCycle(Schedule):
    """One cycle: half a cosine up from `start` to 1, then half a cosine down to `floor`.

    The optimizer's learning rate is the largest of the cycle.

    Args:
        warmup: Number of steps of linear increase before the cycle. Default: 0.
        peak_at: Share of the run after which the peak is reached, from 0 to 1. Default: 0.3.
        start: Factor at the first step, from 0 to 1. Default: 0.04.
        floor: Factor at the end of the run, from 0 to 1. Default: 1e-5.

    Raises:
        InputError: A number is out of its range.

    Example:
        >>> from daskpar import OneCycle
        >>> cycle = OneCycle(peak_at=0.5, start=0.2, floor=0.0)
        >>> [round(cycle.factor(step, total=8), 2) for step in (0, 2, 4, 6, 8)]
        [0.2, 0.6, 1.0, 0.5, 0.0]

    Reference:
        Smith 2018, "A disciplined approach to neural network hyper-parameters: Part 1", section 4.
        https://arxiv.org/abs/1803.09820
    """

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
    """Decrease when a metric stops improving: multiplies the learning rate by `factor_each`.

    It acts after an evaluation. The metric must not have improved for `patience` evaluations in a row. The
    larger or the smaller value counts as better, as the metric says.

    Args:
        warmup: Number of steps of linear increase before. Default: 0.
        monitor: Name of the value that must improve, as the history of a Trainer lists it.
            Default: "validation.loss".
        factor_each: Factor of each decrease, from 0 to 1. Default: 0.1.
        patience: Number of evaluations without improvement before a decrease. Default: 3.
        floor: Smallest factor, from 0 to 1: a multiple of the optimizer's learning rate. Default: 0.

    Raises:
        InputError: A number is out of its range. The Trainer refuses a `monitor` that is not measured.

    Example:
        This learning rate is far too high, so the loss grows, and each evaluation but the first halves it:

        >>> import numpy as np
        >>> from daskpar import SGD, Dense, ReduceOnPlateau, Trainer
        >>> X = np.linspace(-1, 1, 8)[:, None]
        >>> schedule = ReduceOnPlateau(monitor="train.loss", factor_each=0.5, patience=1)
        >>> trainer = Trainer(
        ...     [Dense(1)], loss="mse", optimizer=SGD(8.0), schedule=schedule, epochs=4, batch=4
        ... )
        >>> [record["lr"] for record in trainer.fit(X, X[:, 0]).history_]
        [8.0, 8.0, 4.0, 2.0]
    """

    monitor: str = "validation.loss"
    factor_each: float = 0.1
    patience: int = 3
    floor: float = 0.0
