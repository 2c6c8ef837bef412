"""Start and restart of the worker processes of a local cluster.

A nanny restarts its worker when the process ends, except while the nanny itself starts. Dask's local clusters
drop a nanny whose worker stays absent. A Keeper polls all nannies twice a second, and replaces those that
have no worker and are not starting one. It counts the restarts, which `daskpar.cluster.patience` limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from distributed.core import Status

from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Nanny, SpecCluster

WorkerSpec = dict[str, Any]
"""Specification of a worker for `SpecCluster`: a class and its options."""
_POLL = 0.5  # seconds between polls
_ABSENT = 4  # polls without a process before a nanny is replaced
_ATTEMPTS = 3  # attempts to start all workers
_START = 300  # seconds: time limit for the start of the workers

_keepers: WeakKeyDictionary[SpecCluster, Keeper] = WeakKeyDictionary()


def keeper_of(client: Client) -> Keeper | None:
    """Return the Keeper of a client's cluster, or None if it has none."""
    cluster = getattr(client, "cluster", None)
    return None if cluster is None else _keepers.get(cluster)


class Keeper:
    """Keeper of a cluster's workers, which restarts those that end.

    `specs` are the workers by name, as in `SpecCluster.worker_spec`. `starts` counts the restarted processes.
    """

    def __init__(self, cluster: SpecCluster, specs: Mapping[int, WorkerSpec]):
        self.size = len(specs)
        self.starts = 0
        self._cluster = cluster
        self._specs = specs
        self._pids: dict[int, int] = {}
        self._absent: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None
        _keepers[cluster] = self

    def start(self, hopeless: Callable[[], bool] = lambda: False) -> None:
        """Start all workers.

        `hopeless` returns whether another attempt cannot help. Raises InputError if workers end during their
        start in every attempt.
        """
        self._cluster.worker_spec.update(self._specs)
        self._cluster.sync(self._start, hopeless)

    def stop(self) -> None:
        """Stop restarting workers."""
        self._cluster.sync(self._stop)

    async def _start(self, hopeless: Callable[[], bool]) -> None:
        for _ in range(_ATTEMPTS):
            await self._correct()
            for name in self._specs:
                if not self._is_up(name):
                    await self._drop(name)
            if len(self._cluster.workers) == self.size:
                self._task = asyncio.create_task(self._watch())
                return
            if hopeless():
                break
        raise InputError(
            f"the cluster did not start: its worker processes ended while they started, {_ATTEMPTS} times; "
            'a program that starts workers must keep its work under `if __name__ == "__main__":`'
        )

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self._close_strays()

    async def _watch(self) -> None:
        while self._cluster.status == Status.running:
            await asyncio.sleep(_POLL)
            for name in self._specs:
                self._count(name)
            lost = [name for name in self._specs if self._absent[name] >= _ABSENT]
            for name in lost:
                self._absent[name] = 0
                self._pids.pop(name, None)
                await self._drop(name)
            if lost:
                self.starts += len(lost)
                await self._correct()

    def _count(self, name: int) -> None:
        """Update the process and the number of absences of a worker."""
        nanny = self._cluster.workers.get(name)
        pid = None if nanny is None else nanny.pid
        if pid is not None and pid != self._pids.get(name):
            self.starts += name in self._pids
            self._pids[name] = pid
        busy = nanny is not None and nanny.process is not None and nanny.process.status == Status.starting
        self._absent[name] = 0 if pid is not None or busy else self._absent.get(name, 0) + 1

    def _is_up(self, name: int) -> bool:
        nanny = self._cluster.workers.get(name)
        return nanny is not None and nanny.status == Status.running and nanny.is_alive()

    async def _drop(self, name: int) -> None:
        nanny = self._cluster.workers.pop(name, None)
        if nanny is not None:
            await _close(nanny)

    async def _correct(self) -> None:
        """Let the cluster start the workers that it lacks."""
        try:
            await asyncio.wait_for(self._cluster._correct_state(), _START)
        except Exception:  # a worker has ended during its start; `_is_up` finds it
            await self._close_strays()

    async def _close_strays(self) -> None:
        """Close the nannies of an interrupted start, which the cluster does not know."""
        known = set(self._cluster.workers.values())
        await asyncio.gather(*(_close(nanny) for nanny in set(self._cluster._created) - known))


async def _close(nanny: Nanny) -> None:
    with suppress(Exception):  # its state does not matter, because it is dropped
        await asyncio.wait_for(nanny.close(), 10)
