"""The keeper of workers: what it counts, whom it replaces, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.core import Status

from daskpar import InputError
from daskpar.cluster import keeper
from daskpar.cluster.keeper import Keeper, keeper_of


class Nanny:
    """A nanny whose process comes and goes as a test says."""

    def __init__(self, pid: int | None = 1, starting: bool = False, up: bool = True):
        self.pid, self.closed = pid, False
        self.status = Status.running if up else Status.failed
        self.process = SimpleNamespace(status=Status.starting) if starting else None

    def is_alive(self) -> bool:
        return self.pid is not None

    async def close(self) -> None:
        self.closed = True


class Cluster:
    """A cluster of such nannies; `correct` starts those that are missing, as `SpecCluster` does."""

    status = Status.running

    def __init__(self, make: Callable[[], Nanny] = Nanny):
        self.workers: dict[int, Nanny] = {}
        self.worker_spec: dict[int, Any] = {}
        self._created: list[Nanny] = []
        self.make = make

    def sync(self, function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        async def whole() -> None:
            await function(*arguments)

        asyncio.run(whole())

    async def _correct_state(self) -> None:
        for name in self.worker_spec:
            if name not in self.workers:
                self.workers[name] = self.make()
                self._created.append(self.workers[name])


def test_all_workers_are_started() -> None:
    cluster = Cluster()
    kept = Keeper(cluster, {0: {}, 1: {}})  # type: ignore[arg-type]
    kept.start()
    assert sorted(cluster.workers) == [0, 1] and kept.starts == 0
    assert keeper_of(SimpleNamespace(cluster=cluster)) is kept  # type: ignore[arg-type]
    assert keeper_of(SimpleNamespace()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("hopeless, attempts", [(False, 3), (True, 1)])
def test_workers_that_end_while_they_start_are_given_up(hopeless: bool, attempts: int) -> None:
    cluster = Cluster(lambda: Nanny(pid=None, up=False))
    kept = Keeper(cluster, {0: {}})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^the cluster did not start: its worker processes ended"):
        kept.start(lambda: hopeless)
    assert len(cluster._created) == attempts and all(nanny.closed for nanny in cluster._created)


def polled(nannies: list[Nanny | None]) -> tuple[int, int]:
    """Return the starts and the absences of a worker that is polled with one nanny after the other."""
    cluster = Cluster()
    kept = Keeper(cluster, {0: {}})  # type: ignore[arg-type]
    for nanny in nannies:
        cluster.workers = {} if nanny is None else {0: nanny}
        kept._count(0)
    return kept.starts, kept._absent[0]


@pytest.mark.parametrize(
    "nannies, expected",
    [
        ([Nanny(7)], (0, 0)),  # the first process replaces none
        ([Nanny(7), Nanny(7)], (0, 0)),
        ([Nanny(7), Nanny(8)], (1, 0)),
        ([Nanny(7), Nanny(8), Nanny(7)], (2, 0)),
        ([Nanny(7), Nanny(None), Nanny(None)], (0, 2)),
        ([Nanny(7), Nanny(None), Nanny(7)], (0, 0)),
        ([Nanny(7), Nanny(None, starting=True)], (0, 0)),  # it is about to start its process
        ([Nanny(7), None, None, None], (0, 3)),
    ],
)
def test_processes_are_counted(nannies: list[Nanny | None], expected: tuple[int, int]) -> None:
    assert polled(nannies) == expected


def test_a_nanny_that_stays_without_a_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_POLL", 0)
    cluster = Cluster()
    kept = Keeper(cluster, {0: {}, 1: {}})  # type: ignore[arg-type]

    async def play() -> None:
        cluster.worker_spec.update({0: {}, 1: {}})
        await kept._start(lambda: False)
        while not kept._pids:
            await asyncio.sleep(0)
        lost = cluster.workers[0]
        lost.pid = None
        while cluster.workers.get(0) in (lost, None):
            await asyncio.sleep(0)
        assert lost.closed and kept.starts == 1 and not cluster.workers[1].closed
        await asyncio.wait([asyncio.create_task(kept._stop())], timeout=20)
        assert kept._task is not None and kept._task.done()  # also where it was just replacing a worker

    asyncio.run(asyncio.wait_for(play(), 60))
