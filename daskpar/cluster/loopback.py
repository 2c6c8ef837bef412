"""Parts that clusters on this machine share: free ports, workers that are restarted, and quiet logs."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dask

from daskpar.cluster import main_module
from daskpar.cluster.keeper import Keeper, WorkerSpec
from daskpar.cluster.pages import mend_pages
from daskpar.cluster.setup import QuietTasks
from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

_PORT = 8787


def links_to_this_machine() -> dask.config.set:
    """Set the dashboard's link to the loopback interface, the only one that the dashboard listens on."""
    return dask.config.set({"distributed.dashboard.link": "{scheme}://127.0.0.1:{port}/status"})


@contextmanager
def kept_alive(cluster: SpecCluster, workers: Mapping[int, WorkerSpec]) -> Iterator[Client]:
    """Start worker processes of a cluster, restart those that end, and yield a client.

    `workers` are specifications by name, as `SpecCluster` expects them. The caller closes the cluster.
    """
    from distributed import Client

    keeper = Keeper(cluster, dict(workers))
    with main_module.watched() as unguarded, uninterrupted():
        keeper.start(unguarded)
    try:
        with Client(cluster) as client:
            client.register_plugin(QuietTasks())
            yield client
    finally:
        keeper.stop()


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Silence the logs of these parts of distributed, because daskpar handles or reports their errors."""
    loggers = [logging.getLogger(f"distributed.{name}") for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let child processes that start in the block ignore Ctrl-C, which a terminal sends to all processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def starting() -> Iterator[None]:
    """Prepare this process for the start of a scheduler in the block: its pages, warnings and Ctrl-C."""
    mend_pages()
    with warnings.catch_warnings(), uninterrupted():
        warnings.filterwarnings("ignore", "Port .* is already in use")  # another run may start right now
        warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address")  # without a network
        yield


def free_port(port: int | None) -> int:
    """Return `port` if it is free. For None, return 8787 if it is free, else 0, which is any port.

    Raises InputError if `port` is in use.
    """
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
