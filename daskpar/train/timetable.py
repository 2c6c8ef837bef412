"""Timetable of a run: its milestones, and the learning rate of each step."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.optim import registry as optim
from daskpar.optim.schedules import ReduceOnPlateau, Schedule
from daskpar.train.callbacks import Plateau
from daskpar.train.driver import Milestone
from daskpar.train.interval import Interval, run_length
from daskpar.train.problem import Problem


@dataclass(frozen=True)
class Timetable:
    """Milestones of a run that ends at step `total`: evaluations and checkpoints at fixed intervals.

    `save_every` is None where nothing is saved. A `plateau` makes each evaluation a restart point, because
    the learning rate of the next step depends on it. The schedule begins at step `first`, after earlier
    trainings. Intervals count from step `epochs_from`, at which an epoch begins.
    """

    total: int
    evaluate_every: int
    save_every: int | None
    lr: float
    schedule: Schedule
    plateau: Plateau | None
    first: int = 0
    epochs_from: int = 0

    @classmethod
    def of(cls, problem: Problem, first: int = 0) -> Timetable:
        """Return the timetable of a problem whose training begins at step `first`."""
        settings, steps = problem.settings, problem.spec.order.steps
        schedule = optim.schedule(settings.schedule)
        saving = Interval.parse(settings.checkpoint_every, "checkpoint.every").steps(steps)
        return cls(
            first + run_length(settings.epochs, settings.steps, steps),
            Interval.parse(settings.evaluate_every, "train.evaluate_every").steps(steps),
            saving if settings.folder else None,
            problem.spec.optimizer.lr,
            schedule,
            Plateau(schedule) if isinstance(schedule, ReduceOnPlateau) else None,
            first,
            problem.spec.order.first_step,
        )

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        factor = self.schedule.factor(step - self.first, self.total - self.first)
        return self.lr * factor * (self.plateau.factor if self.plateau else 1.0)

    def next_cut(self, step: int) -> Milestone:
        """Return the next milestone after a step."""
        evaluation = self._next(step, self.evaluate_every)
        saving = self._next(step, self.save_every) if self.save_every else self.total
        cut = min(evaluation, saving, self.total)
        last = cut == self.total
        evaluate = cut == evaluation or last
        save = self.save_every is not None and (cut == saving or last)
        return Milestone(cut, evaluate, save, restart_point=evaluate and self.plateau is not None)

    def _next(self, step: int, every: int) -> int:
        """Return the next step after `step` at which an interval of `every` steps ends."""
        return step + every - (step - self.epochs_from) % every
