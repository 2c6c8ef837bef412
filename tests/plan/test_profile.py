"""Where the time of a run went: by hand on tasks that were made up, and on real runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar import Layout, Trainer, open_client
from daskpar.layout.plan import Kind
from daskpar.plan.profile import TaskRun, blocking_tasks, critical_path, profile


def key(name: str, step: int = 0) -> tuple[str, int]:
    return (f"{name}-0a", step)


def ran(name: str, thread: str, start: float, stop: float, step: int = 0, **more: Any) -> TaskRun:
    return TaskRun(key(name, step), Kind(name, name), thread, start, stop, **more)


#        0    1    2    3    4    5    6    7
#  one   load      grad                update
#  two        grad.............. (1)
RAN = [
    ran("load", "one", 0.0, 1.0),
    ran("grad", "one", 2.0, 3.0),
    ran("grad", "two", 1.0, 4.0, 1),
    ran("update", "one", 6.0, 7.0, transfers=((4.5, 5.5),)),
]
BELOW: dict[Any, Any] = {
    key("grad"): [key("load")],
    key("grad", 1): [key("load")],
    key("update"): [key("grad"), key("grad", 1), ("elsewhere", 7)],
}


def test_the_critical_path_goes_back_by_what_ended_last() -> None:
    held = blocking_tasks(RAN, BELOW)
    assert [task.key for task in critical_path(RAN, held, 0.0)] == [
        key("update"),
        key("grad", 1),
        key("load"),
    ]
    assert held[key("update")].key == key("grad", 1)
    assert key("load") not in held


def test_seconds_by_kind_and_those_of_the_path() -> None:
    found = profile(RAN, BELOW, 2, 2, {"grad": 2}, 0.0)
    assert found.seconds == 7.0
    assert found.busy == 1.0 + 2 * (1.0 + 3.0) + 1.0
    assert found.scheduling_share == pytest.approx(1 - 10 / 14)
    assert found.kinds["grad"] == (2, 4.0, 0.0, 1.0)  # one of them waited a second for no reason
    assert found.kinds["update"] == (1, 1.0, 1.0, 1.0)  # half of its two seconds values were on their way
    assert found.path["grad"] == (1, 3.0, 0.0, 0.0)
    assert sum(times.seconds for times in found.path.values()) == found.seconds


def test_a_path_is_cut_where_counting_begins() -> None:
    found = profile(RAN, BELOW, 1, 2, {}, 2.0)
    assert found.seconds == 5.0
    assert "load" not in found.kinds
    assert found.path["grad"] == (1, 2.0, 0.0, 0.0)
    assert sum(times.seconds for times in found.path.values()) == found.seconds


def test_a_thread_that_is_busy_holds_up_what_comes_next() -> None:
    runs = [ran("grad", "one", 0.0, 2.0), ran("evaluate", "one", 2.0, 3.0)]
    found = profile(runs, {}, 1, 1, {}, 0.0)
    assert found.kinds["evaluate"].waiting == 0.0
    assert set(found.path) == {"grad", "evaluate"}


def test_nothing_ran() -> None:
    found = profile([], {}, 0, 2, {}, 0.0)
    assert (found.seconds, found.scheduling_share, found.kinds) == (0.0, 0.0, {})
    assert found.as_dict()["seconds_per_step"] == 0.0


@pytest.mark.parametrize("kind", ["threads", "threaded-scheduler", "processes"])
@pytest.mark.parametrize("layout", [Layout(data=2), Layout(grain="window")])
def test_a_run_s_path_accounts_for_all_of_its_time(kind: str, layout: Layout) -> None:
    x, y = np.random.default_rng(0).random((64, 8)), np.arange(64) % 3
    with open_client(kind, workers=2, dashboard_port=0) as client:
        model = [{"dense": 8}, "relu", {"dense": 3}]
        given: dict[str, Any] = {"batch": 32, "steps": 12, "layout": layout, "evaluate_every": "12 steps"}
        trainer = Trainer(model, client=client, profile=True, **given).fit(x, y)
    found = trainer.trace_.profile()
    name = "train-window" if layout.grain == "window" else "grad"
    assert found.steps == 11
    assert found.path[name].compute > 0
    assert sum(times.seconds for times in found.path.values()) == pytest.approx(found.seconds)
    assert found.kinds[name].tasks == (22 if name == "grad" else len(window_starts(trainer)) - 1)
    assert 0 <= found.scheduling_share < 1
    later = trainer.trace_.profile(skip=4)
    assert later.steps < 8 and later.seconds < found.seconds


def window_starts(trainer: Trainer) -> list[int]:
    return [task.key[1] for task in trainer.trace_.ran if task.kind == "train-window"]
