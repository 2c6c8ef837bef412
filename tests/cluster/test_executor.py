"""Executors: the same graphs, wherever they run."""

from __future__ import annotations

from operator import add
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Future

from daskpar.backend import blas
from daskpar.cluster.executor import (
    THREADED,
    ClusterExecutor,
    Executor,
    ThreadedExecutor,
    choose_executor,
    current_client,
)
from daskpar.graph.graph import Graph, Ref


def executors(threads_client: Any, processes_client: Any) -> list[Executor]:
    return [choose_executor(client, 2) for client in (THREADED, threads_client, processes_client)]


def test_graphs_build_on_values_that_are_held(threads_client: Any, processes_client: Any) -> None:
    for executor in executors(threads_client, processes_client):
        first = Graph("0a")
        one = first.add("one", (0,), add, 1, 2, slot=0)
        executor.submit(first, [one], 2)
        second = Graph("0a")
        two = second.add("two", (0,), add, Ref(one), 10, slot=1)
        executor.submit(second, [one, two], 2)
        assert executor.result(two) == 13
        assert executor.result(one) == 3
        executor.release([one, two])
        executor.close()


def fail() -> None:
    raise ValueError("this and no other")


def test_what_a_task_raises_comes_out(threads_client: Any, processes_client: Any) -> None:
    for executor in executors(threads_client, processes_client):
        graph = Graph("0b")
        key = graph.add("fail", (0,), fail)
        with pytest.raises(ValueError, match="this and no other"):
            executor.submit(graph, [key], 2)
            executor.result(key)
        executor.close()


class Hasty(Future):
    """A future whose first result comes with the time-out, on which `sync` of distributed stumbles."""

    asked = 0

    def result(self, timeout: float | None = None) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise UnboundLocalError("cannot access local variable 'result'")
        return super().result(timeout)


def stumble() -> None:
    raise UnboundLocalError("in the task")


def test_a_result_that_comes_with_the_time_out_is_asked_for_again(threads_client: Any) -> None:
    executor = ClusterExecutor(threads_client, 1)
    assert executor._awaited(Hasty(threads_client.submit(add, 1, 2).key, threads_client)) == 3
    with pytest.raises(UnboundLocalError, match="in the task"):
        executor._awaited(threads_client.submit(stumble))
    executor.close()


def test_where_tasks_run(threads_client: Any, processes_client: Any) -> None:
    opened = executors(threads_client, processes_client)
    assert [executor.in_process for executor in opened] == [True, True, False]
    opened += [choose_executor(current_client(None), 1), choose_executor(THREADED, 1)]
    assert isinstance(opened[-2], ClusterExecutor)  # the current client
    assert isinstance(opened[-1], ThreadedExecutor)
    for executor in opened:
        executor.close()


@pytest.mark.parametrize("kind", [THREADED, "threads"])
def test_this_process_gets_its_blas_threads_back(kind: str, threads_client: Any) -> None:
    before = [lib["threads"] for lib in blas.describe()]
    executor = choose_executor(THREADED if kind == THREADED else threads_client, 2, 1)
    try:
        assert {lib["threads"] for libs in executor.describe().values() for lib in libs} == {1}
    finally:
        executor.close()
    assert [lib["threads"] for lib in blas.describe()] == before


def test_workers_in_the_order_of_their_names(processes_client: Any) -> None:
    executor = ClusterExecutor(processes_client, 2)
    info = processes_client.scheduler_info(n_workers=-1)["workers"]
    assert [info[address]["name"] for address in executor.workers()] == [0, 1]
    executor.close()


def test_workers_alive(threads_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler is asked at most once a second, also by a bar that is drawn all the time."""
    monkeypatch.setattr("daskpar.cluster.executor.time", SimpleNamespace(monotonic=lambda: now))
    now = 0.0
    executor = ClusterExecutor(threads_client, 1)
    try:
        count = len(executor.workers())
        known = threads_client.scheduler_info(n_workers=-1)
        less = {**known, "workers": dict([*known["workers"].items()][1:])}
        monkeypatch.setattr(threads_client, "scheduler_info", lambda n_workers: less)
        assert executor.workers_alive() == (count, count)
        now = 1.5
        assert executor.workers_alive() == (count - 1, count)
    finally:
        executor.close()
    threaded = ThreadedExecutor(1)
    assert threaded.workers_alive() is None
    threaded.close()
