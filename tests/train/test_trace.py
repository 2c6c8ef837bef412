"""The tasks of a training as they ran: from which on they are counted, and the cores that they use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from daskpar import Layout
from daskpar.autotune.profile import TaskRun
from daskpar.layout.fuse import WINDOW
from daskpar.layout.plan import Kind
from daskpar.train.trace import Trace, trace

GRAD, LOAD = Kind("grad", "grad", ("lane",)), Kind("load-data", "load", steps=False)


def ran(steps: Any, first: float = 1.0) -> list[TaskRun]:
    """Return a task of each step, a second each, behind one that loads data."""
    load = TaskRun(("load-data-0a", 0), LOAD, "a", 0.0, first)
    times = [first + n for n in range(len(steps))]
    return [
        load,
        *(TaskRun(("grad-0a", s, 0), GRAD, "a", t, t + 1) for s, t in zip(steps, times, strict=True)),
    ]


def profile(steps: Any, skip: int = 0, start: int = 0, stop: int = 6) -> tuple[int, float]:
    below = {("grad-0a", s, 0): (("grad-0a", s - 1, 0),) for s in steps}
    found = Trace(ran(steps), below, start, stop, 2, {"grad": 2}).profile(skip)  # type: ignore[arg-type]
    return found.steps, found.seconds


@pytest.mark.parametrize(
    "steps, skip, expected",
    [
        (range(6), 0, (5, 5.0)),  # all but the first
        (range(6), 3, (2, 2.0)),
        (range(6), 50, (1, 1.0)),  # at least the last that there is
        ([0, 4], 1, (2, 1.0)),  # windows of four steps: the second begins with step 4
        ([0], 0, (6, 1.0)),  # one window of all steps is all there is
    ],
)
def test_counting_begins_behind_the_steps_that_are_skipped(steps: Any, skip: int, expected: Any) -> None:
    assert profile(steps, skip) == expected


def test_a_resumed_training_counts_from_where_it_went_on() -> None:
    assert profile(range(10, 16), 0, 10, 16) == (5, 5.0)


def test_the_look_after_the_last_step_is_no_beginning() -> None:
    tasks = [*ran(range(3)), TaskRun(("grad-0a", 3, 0), GRAD, "a", 4.0, 5.0)]
    found = Trace(tasks, {}, 0, 3, 2, {}).profile(9)
    assert found.steps == 1  # of step 2, not of step 3, at which the run has ended


def test_a_window_uses_the_cores_of_all_its_lanes() -> None:
    record = SimpleNamespace(ran=lambda: ran([0]), below={"key": ()})
    asked: list[int] = []

    def capacity(slots: int) -> tuple[int, int]:
        asked.append(slots)
        return 8, 2

    found = trace(record, SimpleNamespace(capacity=capacity), Layout(data=3), 4, 9)  # type: ignore[arg-type]
    assert found.threads == {"grad": 2, "load-data": 2, WINDOW.name: 6}
    assert (found.start, found.stop, found.cores, found.below, asked) == (4, 9, 8, {"key": ()}, [3])
