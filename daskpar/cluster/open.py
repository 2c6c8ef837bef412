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

from daskpar.cluster import cuda, kubernetes, main_module
from daskpar.cluster.address import connect
from daskpar.cluster.clients import KINDS, THREADED
from daskpar.cluster.keeper import Keeper
from daskpar.cluster.patience import SETTING, read_patience
from daskpar.cluster.setup import QuietTasks
from daskpar.errors import InputError
from daskpar.settings import at_least_one, checked_arguments

_PORT = 8787
_CALM = {
    # What Dask does now and then beside the work, on the same cores: at its own intervals, 20 and 10 ms, it
    # takes 4 ms of each 69 ms of two lanes (the benchmark's CNN), and 6 % of the small MLP's time.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    # Else Dask gives up a nanny whose worker is away for 15 s, as it may well be on a busy machine.
    "distributed.deploy.lost-worker-timeout": "365 days",
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
    patience: float | str | None = None,
) -> Iterator[Any]:
    """A client of a cluster of this kind, closed at the end with the cluster it started.

    For `threaded-scheduler`, which needs neither, its name. Local clusters listen on the loopback interface
    only. `dashboard_port`: None takes 8787, or any free port where that is taken; 0 any.

    Worker processes run the program's main module again, so a program that uses `processes` or `cuda` keeps
    what it does under `if __name__ == "__main__":`. Those that end are started anew, within bounds. A cluster
    of another kind that has no workers left is waited for as long as `patience` says, in seconds or as a text
    such as "5 minutes"; None: 10 minutes, or what `daskpar.patience` of Dask's configuration says.
    Raises InputError where the cluster cannot be had.
    """
    if kind not in KINDS:
        raise InputError(f"cluster.kind={kind!r} is not known; use one of {', '.join(KINDS)}")
    at_least_one("cluster.workers", workers)
    if dashboard_port is not None and not 0 <= dashboard_port < 2**16:
        raise InputError(f"cluster.dashboard_port={dashboard_port} must be from 0 to 65535")
    seconds = read_patience(patience)
    if kind == THREADED:
        yield THREADED
        return
    if kind in ("processes", "cuda"):
        main_module.refuse_in_a_worker()
    from distributed import Client

    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": 10, **_CALM, SETTING: seconds}
    if kind in ("threads", "processes", "cuda"):
        settings["distributed.dashboard.link"] = "{scheme}://127.0.0.1:{port}/status"
    with dask.config.set(settings):
        if kind == "address":
            with _quiet("client"), connect(address) as client:
                yield client
            return
        if kind in ("processes", "cuda"):
            with main_module.hidden_if_no_file(), _processes(kind, workers, dashboard_port) as client:
                yield client
            return
        with _start(kind, workers, dashboard_port, image, namespace) as cluster, Client(cluster) as client:
            if kind == "kubernetes":
                _wait(client, workers)
            client.register_plugin(QuietTasks())
            yield client


@contextmanager
def _processes(kind: str, workers: int, dashboard_port: int | None) -> Iterator[Any]:
    """A client of a cluster of worker processes, which are kept alive."""
    from distributed import Client

    with _quiet("nanny", "process", "core"), _start(kind, 0, dashboard_port, None, None) as cluster:
        specs = _worker_specs(cluster, kind, workers)
        keeper = Keeper(cluster, specs)
        with main_module.watched() as unguarded, _uninterrupted():
            keeper.start(unguarded)
        try:
            with Client(cluster) as client:
                client.register_plugin(QuietTasks())
                yield client
        finally:
            keeper.stop()


def _worker_specs(cluster: Any, kind: str, workers: int) -> dict[Any, Any]:
    """The workers of a cluster of processes by name, as `SpecCluster` wants them."""
    if kind == "cuda":
        return cuda.worker_specs(cuda.visible_gpus())
    return dict.fromkeys(range(workers), cluster.new_spec)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep these parts of distributed from logging, with tracebacks, what is mended or told in a line."""
    loggers = [logging.getLogger(f"distributed.{name}") for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _wait(client: Any, workers: int, seconds: float = 600) -> None:
    try:
        client.wait_for_workers(workers, timeout=seconds)
    except TimeoutError:
        raise InputError(
            f"cluster.kind=kubernetes: {workers} workers did not come up in {seconds:.0f} s; "
            "`kubectl describe pods` says why"
        ) from None


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
    dashboard = f"127.0.0.1:{free_port(dashboard_port)}"
    with warnings.catch_warnings(), _uninterrupted():
        warnings.filterwarnings("ignore", "Port .* is already in use")  # by a run that began just now
        return (
            cuda.start(dashboard) if kind == "cuda" else _start_local(kind == "threads", workers, dashboard)
        )


def _start_local(threads: bool, workers: int, dashboard: str) -> Any:
    """A cluster of one worker with so many threads, or of processes that are yet to be started."""
    from distributed import LocalCluster

    return LocalCluster(
        # One worker with many threads, not many with one: between these values would be sent, if only
        # from thread to thread, and a hop would take twice as long (2.2 ms instead of 1.2).
        n_workers=1 if threads else 0,
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
