"""Clusters on this machine: threads of this process, processes, and Dask's threaded scheduler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from daskpar.cluster import main_module
from daskpar.cluster.kind import THREADED, ClusterKind, WithDashboard, WithWorkers
from daskpar.cluster.loopback import free_port, kept_alive, links_to_this_machine, quiet, starting
from daskpar.cluster.setup import QuietTasks
from daskpar.registry import register

if TYPE_CHECKING:
    from distributed import Client, LocalCluster


@register("threads")
@dataclass(frozen=True)
class Threads(WithDashboard, WithWorkers):
    """Threads of this process."""

    apart: ClassVar[bool] = False

    @contextmanager
    def client(self) -> Iterator[Client]:
        from distributed import Client

        with links_to_this_machine(), _cluster(True, self.workers, self.dashboard_port) as cluster:
            with Client(cluster) as client:
                client.register_plugin(QuietTasks())
                yield client


@register("processes")
@dataclass(frozen=True)
class Processes(WithDashboard, WithWorkers):
    """Processes of this machine, which listen on the loopback interface only."""

    @contextmanager
    def client(self) -> Iterator[Client]:
        main_module.refuse_in_a_worker()
        with links_to_this_machine(), main_module.hidden_if_no_file(), quiet("nanny", "process", "core"):
            with _cluster(False, 1, self.dashboard_port) as cluster:
                workers = dict.fromkeys(range(self.workers), cluster.new_spec)
                with kept_alive(cluster, workers) as client:
                    yield client


@register(THREADED)
@dataclass(frozen=True)
class ThreadedScheduler(ClusterKind):
    """Dask's own threaded scheduler: its client is its name."""

    distributed: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    @contextmanager
    def client(self) -> Iterator[str]:
        yield THREADED


def _cluster(threads: bool, workers: int, dashboard_port: int | None) -> LocalCluster:
    """A cluster of one worker with so many threads, or of processes that are yet to be started."""
    from distributed import LocalCluster

    dashboard = f"127.0.0.1:{free_port(dashboard_port)}"
    with starting():
        return LocalCluster(
            # One worker with many threads, not many with one: between these values would be sent, if only
            # from thread to thread, and a hop would take twice as long (2.2 ms instead of 1.2).
            n_workers=1 if threads else 0,
            threads_per_worker=workers,
            processes=not threads,
            host=None if threads else "127.0.0.1",
            dashboard_address=dashboard,
            worker_dashboard_address="127.0.0.1:0",  # else workers that are threads listen everywhere
            silence_logs=logging.ERROR,
            memory_limit=0 if threads else "auto",
        )
