"""Parts of a timeline to look at: steps that took a typical time, the slowest, the first, all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from daskpar.autotune.profile import TaskRun

_STEPS = 3  # that are seen together
_WARM_UP = 0.25  # of the steps, the first: caches and connections are cold, and windows short


class View(NamedTuple):
    """A part of a timeline: its name, and the seconds at which it begins and ends."""

    name: str
    start: float
    stop: float


class _Step(NamedTuple):
    step: int
    start: float
    stop: float

    @property
    def seconds(self) -> float:
        return self.stop - self.start


def views(ran: Sequence[TaskRun]) -> list[View]:
    """Return parts of the timeline of tasks, the one to open with first, and all of it last.

    A step lasts from the end of the one before, for its first tasks may run long ahead. Typical steps are
    consecutive ones, each near to the median of the steps after the warm-up.
    """
    steps = _steps(ran)
    found = []
    if len(steps) > 1:
        warm = steps[int(_WARM_UP * len(steps)) :]
        usual = median(step.seconds for step in warm)
        count = min(_STEPS, len(warm))
        stretches = [warm[i : i + count] for i in range(len(warm) - count + 1)]
        typical = min(stretches, key=lambda stretch: sum(abs(each.seconds - usual) for each in stretch))
        slowest = max(warm, key=lambda step: step.seconds)
        found = [_view("typical", typical), _view("slowest", [slowest]), _view("first", steps[:count])]
    return [*found, View("all tasks", min(r.start for r in ran), max(r.stop for r in ran))]


def _view(name: str, steps: Sequence[_Step]) -> View:
    first, last = steps[0].step, steps[-1].step
    which = f"step {first}" if first == last else f"steps {first} to {last}"
    return View(f"{name}: {which}", steps[0].start, steps[-1].stop)


def _steps(ran: Sequence[TaskRun]) -> list[_Step]:
    """The steps in the order in which they ended."""
    ended: dict[int, float] = {}
    for run in ran:
        if run.step is not None:
            ended[run.step] = max(run.stop, ended.get(run.step, run.stop))
    begin = min((run.start for run in ran if run.step is not None), default=0.0)
    ends = sorted((stop, step) for step, stop in ended.items())
    return [_Step(step, start, stop) for (start, _), (stop, step) in pairwise([(begin, -1), *ends])]
