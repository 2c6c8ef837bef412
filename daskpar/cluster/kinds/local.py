"""Clusters on this machine: threads of this process, worker processes, and Dask's threaded scheduler."""

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
    """Cluster of one worker with several threads, in this process.

    Values are shared without copies and a task starts within about a millisecond. A dashboard is shown.

    Args:
        workers: Number of threads of the worker. Default: 2.
        dashboard_port: Port of the dashboard. 0 is any free port. None is 8787, or any free port if 8787 is
            in use. Default: None.

    Example:
        >>> from daskpar.cluster.kinds.local import Threads
        >>> with Threads(workers=2, dashboard_port=0).client() as client:
        ...     [worker["nthreads"] for worker in client.scheduler_info()["workers"].values()]
        [2]
    """

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
    """Cluster of worker processes of one thread each, on this machine.

    They listen on the loopback interface only. A worker process that ends is started again.

    Args:
        workers: Number of worker processes. Default: 2.
        dashboard_port: Port of the dashboard. 0 is any free port. None is 8787, or any free port if 8787 is
            in use. Default: None.

    Example:
        >>> from daskpar.cluster.kinds.local import Processes
        >>> Processes(workers=4)
        Processes(workers=4)
    """

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
    """Dask's threaded scheduler in this process, without a cluster and without a dashboard.

    There is no client: the text "threaded-scheduler" stands for it.

    Example:
        >>> from daskpar.cluster.kinds.local import ThreadedScheduler
        >>> with ThreadedScheduler().client() as client:
        ...     print(client)
        threaded-scheduler
    """

    distributed: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    @contextmanager
    def client(self) -> Iterator[str]:
        yield THREADED


def _cluster(threads: bool, workers: int, dashboard_port: int | None) -> LocalCluster:
    """Return a cluster of one worker with `workers` threads, or one without workers for processes."""
    from distributed import LocalCluster

    dashboard = f"127.0.0.1:{free_port(dashboard_port)}"
    with starting():
        return LocalCluster(
            # One worker with many threads, because workers of one thread would send values to each other,
            # even within a process, and a hop would take twice as long (2.2 ms instead of 1.2).
            n_workers=1 if threads else 0,
            threads_per_worker=workers,
            processes=not threads,
            host=None if threads else "127.0.0.1",
            dashboard_address=dashboard,
            worker_dashboard_address="127.0.0.1:0",  # by default workers in threads listen on all interfaces
            silence_logs=logging.ERROR,
            memory_limit=0 if threads else "auto",
        )
