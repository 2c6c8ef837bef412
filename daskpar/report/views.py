"""Views of a timeline: steps that took a typical time, the slowest, the first, all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from daskpar.autotune.profile import TaskRun

_STEPS = 3  # steps of a view
_WARM_UP = 0.25  # share of the steps at the beginning, when caches and connections are cold


class View(NamedTuple):
    """A view of a timeline: its name, and the seconds at which it begins and ends."""

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
    """Return the views of a timeline of tasks: the one to open with first, all tasks last.

    A step lasts from the end of the previous step, because its first tasks may run long before. Typical steps
    are consecutive steps near the median time of the steps after the warm-up.
    """
    steps = _steps(ran)
    some = []
    if len(steps) > 1:
        warm = steps[int(_WARM_UP * len(steps)) :]
        middle = median(step.seconds for step in warm)
        count = min(_STEPS, len(warm))
        stretches = [warm[i : i + count] for i in range(len(warm) - count + 1)]
        typical = min(stretches, key=lambda stretch: sum(abs(each.seconds - middle) for each in stretch))
        slowest = max(warm, key=lambda step: step.seconds)
        some = [_view("typical", typical), _view("slowest", [slowest]), _view("first", steps[:count])]
    return [*some, View("all tasks", min(r.start for r in ran), max(r.stop for r in ran))]


def _view(name: str, steps: Sequence[_Step]) -> View:
    first, last = steps[0].step, steps[-1].step
    numbers = f"step {first}" if first == last else f"steps {first} to {last}"
    return View(f"{name}: {numbers}", steps[0].start, steps[-1].stop)


def _steps(ran: Sequence[TaskRun]) -> list[_Step]:
    """Return the steps in the order in which they ended."""
    ended: dict[int, float] = {}
    for run in ran:
        if run.step is not None:
            ended[run.step] = max(run.stop, ended.get(run.step, run.stop))
    begin = min((run.start for run in ran if run.step is not None), default=0.0)
    ends = sorted((stop, step) for step, stop in ended.items())
    return [_Step(step, start, stop) for (start, _), (stop, step) in pairwise([(begin, -1), *ends])]
