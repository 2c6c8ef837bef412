"""What a scheduler keeps of its runs: bounded, whatever is sent, and what slots do."""

from __future__ import annotations

from typing import Any

import pytest

from daskpar.dashboard.activity import Activity
from daskpar.dashboard.runs import MOST_RUNS, Runs


def begin(name: str = "a", client: str = "", **about: Any) -> dict[str, Any]:
    return {"kind": "begin", "run": name, "at": 1.0, "client": client, "about": {"name": name, **about}}


def steps(first: int, count: int, **more: Any) -> dict[str, Any]:
    numbers = list(range(first, first + count))
    values = [float(step % 7) for step in numbers]
    event = {"kind": "steps", "run": "a", "at": 2.0, "step": numbers[-1], "seconds": 1.0, "steps": numbers}
    return event | {"loss": values, "learning_rate": values} | more


def test_old_runs_go_first_and_those_that_go_on_last() -> None:
    runs = Runs()
    runs.hear(begin("still going on"))
    for number in range(MOST_RUNS + 5):
        runs.hear(begin(f"r{number}"))
        runs.hear(
            {"kind": "end", "run": f"r{number}", "at": 3.0, "state": "finished", "step": 1, "seconds": 1.0}
        )
    assert len(runs.by_id) == MOST_RUNS and "still going on" in runs.by_id and "r0" not in runs.by_id


def test_a_run_ends_as_lost_with_its_client() -> None:
    runs = Runs()
    runs.hear(begin("a", client="one"))
    runs.hear(begin("b", client="two"))
    runs.lose("one", 5.0)
    assert [run.state for run in runs.by_id.values()] == ["lost", "running"]
    assert runs.hear(steps(1, 3)) is runs.by_id["a"]  # late events do no harm


def test_whatever_is_sent_is_bounded() -> None:
    runs = Runs()
    run = runs.hear(begin("a", model="x" * 10_000, layers=[f"{i} dense" for i in range(3000)]))
    assert run is not None and len(run.about["model"]) < 2000 and len(run.about["layers"]) == 1000
    for window in range(400):
        rows = [(window, [1.0], [2.0], [3.0])]
        runs.hear(steps(1 + 100 * window, 100, layers=rows, metrics={f"m{window}": [(window, 1.0)]}))
        runs.hear({"kind": "mark", "run": "a", "at": 2.0, "mark": "restart", "text": "y" * 5000})
        runs.hear({"kind": "mark", "run": "a", "at": 2.0, "mark": "restart", "text": "y" * 5000})
    assert len(run.series) <= 60 and len(run.marks) <= 500 and len(run.layers) <= 120
    assert max(len(series) for series in run.series.values()) <= 800
    assert len(run.marks[0]["text"]) <= 300
    assert runs.hear({"kind": "steps", "run": "not known"}) is None


KEY = "grad-1f"
OPERATIONS = {
    "operations": [
        (KEY, "grad", "grad", [([0], 0), ([1], 1)]),
        ("load-batch-1f", "load-batch", "load", [([0], 0)]),
        ("report-1f", "report", "report", []),
    ],
    "data": {"key": "load-data-1f", "chunks": 2, "kept": True},
}


def stretch(action: str, start: float, stop: float) -> dict[str, Any]:
    return {"action": action, "start": start, "stop": stop}


@pytest.fixture
def activity() -> Activity:
    known = Activity()
    known.know(OPERATIONS)
    return known


def test_tasks_become_bars_of_their_slots(activity: Activity) -> None:
    activity.done((KEY, 3, 1), "w1", [stretch("transfer", 10.0, 10.5), stretch("compute", 10.5, 12.0)])
    activity.done((KEY, 3, 0), "w0", [stretch("compute", 11.0, 12.0)])
    activity.done(("load-batch-1f", 5, 0), "w0", [stretch("compute", 10.0, 10.25)])
    bars = activity.recent()
    strip = activity.strip(bars)
    assert strip["from"] == 10.0 and strip["names"] == ["grad", "load-batch"]
    assert strip["bars"][:2] == [[1, 0.0, 500.0, 1, 0, 3], [1, 500.0, 2000.0, 0, 0, 3]]
    assert activity.workers == {1: "w1", 0: "w0"} and activity.ahead(bars) == 2
    assert activity.shares(bars)[1] == {"slot": 1, "compute": 0.75, "transfer": 0.25, "wait": 0.0}


def test_a_slot_does_the_oldest_of_the_steps_that_it_works_on(activity: Activity) -> None:
    now = activity.now([((KEY, 5, 0), "w0"), ((KEY, 4, 0), "w0"), ("other", "w0"), (("foreign", 1), "w0")])
    assert now == {0: {"doing": "grad", "name": "grad", "step": 4}}


def test_bars_are_of_the_last_steps_and_seconds(activity: Activity) -> None:
    for step in range(5000):
        activity.done((KEY, step, 0), f"w{step % 3}", [stretch("compute", step * 0.01, step * 0.01 + 0.009)])
    assert len(activity.tasks) == 2000
    assert [bar.step for bar in activity.recent()] == list(range(4976, 5000))
    assert activity.workers == {0: f"w{4999 % 3}"}
    activity.done((KEY, 5000, 0), "w0", [stretch("compute", 100.0, 101.0)])
    assert [bar.step for bar in activity.recent()] == [5000]
