"""Parts of a timeline: typical steps are chosen after the warm-up, and buttons show the others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from daskpar import Layout, Trainer
from daskpar.autotune.profile import TaskRun
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits
from daskpar.layout.plan import Kind
from daskpar.report.timeline import write_timeline
from daskpar.report.views import View, views

GRAD, LOAD = Kind("grad", "grad", ("lane",)), Kind("load-data", "load", ("",), steps=False)


def ran(seconds: list[float]) -> list[TaskRun]:
    """Two lanes of a step after another, each step so many seconds long, after a task of no step."""
    runs, start = [TaskRun(("load-data-0a", "train"), LOAD, "0", 0.0, 1.0)], 1.0
    for step, length in enumerate(seconds):
        runs += [TaskRun(("grad-0a", step, i), GRAD, str(i), start, start + length) for i in (0, 1)]
        start += length
    return runs


def test_typical_steps_are_near_the_median_after_the_warm_up() -> None:
    typical, slowest, first, everything = views(ran([9, 5, 2, 1, 2, 1, 1, 1, 8, 1, 2, 1]))
    assert typical == View("typical: steps 5 to 7", 20.0, 23.0)
    assert slowest == View("slowest: step 8", 23.0, 31.0)
    assert first == View("first: steps 0 to 2", 1.0, 17.0)
    assert everything == View("all tasks", 0.0, 35.0)


def test_few_steps_and_none() -> None:
    assert [view.name for view in views(ran([1, 3]))] == [
        "typical: steps 0 to 1",
        "slowest: step 1",
        "first: steps 0 to 1",
        "all tasks",
    ]
    assert [view.name for view in views(ran([1]))] == ["all tasks"]
    assert views(ran([])) == [View("all tasks", 0.0, 1.0)]


def test_the_timeline_opens_on_typical_steps(tmp_path: Path) -> None:
    options = {"batch": 128, "epochs": 2, "profile": True, "client": THREADED, "layout": Layout(data=2)}
    trace = Trainer(["flatten", {"dense": 10}], **options).fit(Digits()).trace_
    path = tmp_path / "profile.html"
    write_timeline(trace, trace.profile(), path, "a run")
    html = path.read_text()
    labels = json.loads(re.search(r'"labels":(\[[^\]]*\])', html).group(1))  # type: ignore[union-attr]
    assert [label.partition(":")[0] for label in labels] == ["typical", "slowest", "first", "all tasks"]
    typical = views(sorted(trace.ran, key=lambda run: run.start))[0]
    found = re.search(r'"Range1d"[^}]*"start":([-.\d]+),"end":([-.\d]+)', html)
    begin, end = map(float, found.groups())  # type: ignore[union-attr]
    assert end - begin == pytest.approx(1.04e3 * (typical.stop - typical.start))
