"""Clusters by kind: threads of this process, processes of this machine, an address, GPUs, Kubernetes."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask

from daskpar.cluster import cuda, kubernetes
from daskpar.cluster.executor import THREADED
from daskpar.cluster.setup import QuietTasks
from daskpar.errors import InputError
from daskpar.settings import at_least_one, checked_arguments

KINDS = ("threads", "processes", THREADED, "address", "cuda", "kubernetes")
_PORT = 8787
_CALM = {
    # What Dask does now and then beside the work, on the same cores: at its own intervals, 20 and 10 ms, it
    # takes 4 ms of each 69 ms of two lanes (the benchmark's CNN), and 6 % of the small MLP's time.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
}


@contextmanager
@checked_arguments("cluster.")
def open_client(
    kind: str = "threads",
    workers: int = 2,
    address: str | None = None,
    dashboard_port: int | None = None,
    image: str | None = None,
    namespace: str | None = None,
) -> Iterator[Any]:
    """A client of a cluster of this kind, closed at the end with the cluster it started.

    For `threaded-scheduler`, which needs neither, its name. Local clusters listen on the loopback interface
    only. `dashboard_port`: None takes 8787, or any free port where that is taken; 0 any.
    Raises InputError where the cluster cannot be had.
    """
    at_least_one("cluster.workers", workers)
    if dashboard_port is not None and not 0 <= dashboard_port < 2**16:
        raise InputError(f"cluster.dashboard_port={dashboard_port} must be from 0 to 65535")
    if kind == THREADED:
        yield THREADED
        return
    from distributed import Client

    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": 10, **_CALM}
    if kind in ("threads", "processes", "cuda"):
        settings["distributed.dashboard.link"] = "{scheme}://127.0.0.1:{port}/status"
    with dask.config.set(settings):
        if kind == "address":
            with _connect(address) as client:
                yield client
            return
        with _start(kind, workers, dashboard_port, image, namespace) as cluster, Client(cluster) as client:
            if kind == "kubernetes":
                _wait(client, workers)
            client.register_plugin(QuietTasks())
            yield client


def _wait(client: Any, workers: int, seconds: float = 600) -> None:
    try:
        client.wait_for_workers(workers, timeout=seconds)
    except TimeoutError:
        raise InputError(
            f"cluster.kind=kubernetes: {workers} workers did not come up in {seconds:.0f} s; "
            "`kubectl describe pods` says why"
        ) from None


def _connect(address: str | None) -> Any:
    from distributed import Client

    if not address:
        raise InputError("cluster.kind=address needs cluster.address, e.g. tcp://10.0.0.1:8786")
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"cluster.address={address}: no scheduler answers there ({error})") from None
    if not client.scheduler_info(n_workers=-1)["workers"]:
        client.close()
        raise InputError(f"cluster.address={address}: the scheduler has no workers; start some")
    return client


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Children that start here leave Ctrl-C to this process: a terminal sends it to all of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(
    kind: str, workers: int, dashboard_port: int | None, image: str | None, namespace: str | None
) -> Any:
    if kind == "kubernetes":
        return kubernetes.start(workers, image, namespace)
    if kind not in ("threads", "processes", "cuda"):
        raise InputError(f"cluster.kind={kind!r} is not known; use one of {', '.join(KINDS)}")
    dashboard = f"127.0.0.1:{free_port(dashboard_port)}"
    with warnings.catch_warnings(), _uninterrupted():
        warnings.filterwarnings("ignore", "Port .* is already in use")  # by a run that began just now
        return (
            cuda.start(dashboard) if kind == "cuda" else _start_local(kind == "threads", workers, dashboard)
        )


def _start_local(threads: bool, workers: int, dashboard: str) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        # One worker with many threads, not many with one: between these values would be sent, if only
        # from thread to thread, and a hop would take twice as long (2.2 ms instead of 1.2).
        n_workers=1 if threads else workers,
        threads_per_worker=workers if threads else 1,
        processes=not threads,
        host=None if threads else "127.0.0.1",
        dashboard_address=dashboard,
        worker_dashboard_address="127.0.0.1:0",  # else workers that are threads listen everywhere
        silence_logs=logging.ERROR,
        memory_limit=0 if threads else "auto",
    )


def free_port(port: int | None) -> int:
    """`port` if it is free; for None 8787, or 0 (any) where that is taken."""
    if port == 0 or _is_free(_PORT if port is None else port):
        return _PORT if port is None else port
    if port is None:
        return 0
    raise InputError(f"cluster.dashboard_port={port} is in use; choose another, or 0 for any")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
