"""Pieces of clusters on this machine: free ports, workers that are kept alive, and silence meanwhile."""

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
    """Let the link of a dashboard name the loopback interface, which is all that it listens on."""
    return dask.config.set({"distributed.dashboard.link": "{scheme}://127.0.0.1:{port}/status"})


@contextmanager
def kept_alive(cluster: SpecCluster, workers: Mapping[int, WorkerSpec]) -> Iterator[Client]:
    """A client of a cluster whose worker processes are started here, and anew where they end.

    `workers`: by name, as `SpecCluster` wants them. The cluster is closed by the caller.
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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Children that start here leave Ctrl-C to this process: a terminal sends it to all of them."""
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
    """Around the start of a scheduler on this machine, in this process, before anyone can visit its pages."""
    mend_pages()
    with warnings.catch_warnings(), uninterrupted():
        warnings.filterwarnings("ignore", "Port .* is already in use")  # by a run that began just now
        yield


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
