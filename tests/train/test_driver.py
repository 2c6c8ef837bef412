"""Windows of steps: how many are in flight, and that lineages end at roots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from daskpar import Callback, Layout, Trainer
from daskpar.cluster.executor import Done, ThreadedExecutor
from daskpar.data import Digits
from daskpar.graph.graph import Graph, Key
from daskpar.train import driver, session

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


class Watched(ThreadedExecutor):
    """Remembers what it was asked to do."""

    def __init__(self, lanes: int, threads: int | None = None):
        super().__init__(lanes, threads)
        self.unread: set[Key] = set()
        self.most_in_flight = 0
        self.windows: list[Graph] = []

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        super().submit(graph, keys, lanes, done)
        if "report" in graph.tasks:
            self.windows.append(graph)
            self.unread |= graph.tasks["report"].keys()
            self.most_in_flight = max(self.most_in_flight, len(self.unread))

    def result(self, key: Key) -> Any:
        self.unread.discard(key)
        return super().result(key)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    made: list[Watched] = []

    def choose(client: Any, lanes: int, threads: int | None = None) -> Watched:
        made.append(Watched(lanes, threads))
        return made[-1]

    monkeypatch.setattr(session, "choose_executor", choose)
    return made


def fit(**options: Any) -> Trainer:
    return Trainer(MODEL, **{"batch": 64, "epochs": 6, "layout": Layout(data=2), **options}).fit(Digits())


def test_two_windows_are_in_flight(watched: list[Watched]) -> None:
    fit(evaluate_every="6 epochs")
    assert watched[0].most_in_flight == 2


def windows_of_four(self: driver.Driver, steps: int, seconds: float) -> None:
    self._length = 4


@pytest.mark.parametrize("grain", ["step", "stage", "window"])
def test_values_are_let_go_as_the_run_goes(
    watched: list[Watched], grain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver.Driver, "_adapt", windows_of_four)  # else their length goes by the clock
    held: list[int] = []
    original = Watched.result

    def result(self: Watched, key: Key) -> Any:
        held.append(len(self._values))
        return original(self, key)

    Watched.result = result  # type: ignore[method-assign]
    try:
        fit(layout=Layout(data=1, grain=grain), evaluate_every="20 steps")
    finally:
        Watched.result = original  # type: ignore[method-assign]
    assert max(held[len(held) // 2 :]) <= max(held[: len(held) // 2])
    assert not watched[0]._values


def test_lineages_end_at_roots(watched: list[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fit(evaluate_every="6 epochs").parameters_sha256_
    monkeypatch.setattr(driver, "_RESTART_TASKS", 20)
    rooted = fit(evaluate_every="6 epochs")
    assert rooted.parameters_sha256_ == plain
    roots = [key for graph in watched[1].windows for key in graph.tasks.get("load-state", {})]
    assert len(roots) >= 2  # windows grow, so how many there are goes by the clock


def test_the_schedulers_memory_does_not_grow_with_the_steps(threads_client: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(driver, "_RESTART_TASKS", 60)
    sizes: list[int] = []

    def size() -> int:
        return threads_client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))

    class Size(Callback):
        def after_evaluation(self, _: Trainer, record: Any) -> None:
            sizes.append(size())

    before = size()  # of runs that failed something may be left
    fit(client=threads_client, callbacks=[Size()], epochs=16)
    # 2 lanes, at most two epochs of 29 steps since the last root, and the data
    assert max(sizes) - before < 300
