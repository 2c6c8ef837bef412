"""Keeping the worker processes of a local cluster alive: starting them, and starting them anew.

A nanny starts its worker again when the process ends, but not when it ends while the nanny starts, and Dask's
local clusters give up a nanny whose worker stays away. A Keeper looks at all nannies twice a second and
replaces those that have no worker and are not about to start one. It counts every process that was started in
place of another, which is what `daskpar.cluster.patience` goes by.
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
"""A worker as a `SpecCluster` wants it: a class, and its options."""
_LOOK = 0.5  # seconds between looks
_ABSENT = 4  # looks at which a nanny must be without a process before it is replaced
_ATTEMPTS = 3  # at starting all workers
_START = 300  # seconds that workers have to start

_keepers: WeakKeyDictionary[SpecCluster, Keeper] = WeakKeyDictionary()


def keeper_of(client: Client) -> Keeper | None:
    """Return the Keeper of the cluster that a client was made of, if there is one."""
    cluster = getattr(client, "cluster", None)
    return None if cluster is None else _keepers.get(cluster)


class Keeper:
    """Keeps as many workers alive as a `SpecCluster` is to have.

    `specs`: the workers by name, as in `SpecCluster.worker_spec`. `starts`: how many processes were started
    in place of others that had ended.
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
        """Start all workers. Raises InputError where they end while they start, again and again.

        `hopeless`: whether there is no point in trying again.
        """
        self._cluster.worker_spec.update(self._specs)
        self._cluster.sync(self._start, hopeless)

    def stop(self) -> None:
        """Leave the workers alone from now on."""
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
            'a program that starts some keeps what it does under `if __name__ == "__main__":`'
        )

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self._close_strays()

    async def _watch(self) -> None:
        while self._cluster.status == Status.running:
            await asyncio.sleep(_LOOK)
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
        """Take note of what became of a worker since the last look."""
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
        """Have the cluster start the workers that it lacks."""
        try:
            await asyncio.wait_for(self._cluster._correct_state(), _START)
        except Exception:  # a worker has ended while it started; which one shows
            await self._close_strays()

    async def _close_strays(self) -> None:
        """Close nannies that were about to start when that was broken off: the cluster does not know them."""
        known = set(self._cluster.workers.values())
        await asyncio.gather(*(_close(nanny) for nanny in set(self._cluster._created) - known))


async def _close(nanny: Nanny) -> None:
    with suppress(Exception):  # whatever state it is in, it is not to come back
        await asyncio.wait_for(nanny.close(), 10)
