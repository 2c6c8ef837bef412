"""What daskpar sets on a cluster's scheduler and workers; the one place that touches distributed's internals.

* BLAS threads: cores of the host ÷ lanes on it. It depends on the layout and the machine, not on how many
  workers there happen to be, since the number of threads may show in the last bit of a product.
* Memory: a worker process keeps what it frees, for the next step needs blocks of the same sizes.
* Batching latency: the scheduler sends to a worker at most every 5 ms and a worker to the scheduler every
  2 ms (`BatchedSend.interval`). A chain of training steps waits for each of them, so they are set to 0.
* Interrupts: Ctrl-C, and the interrupt of a notebook's kernel, reach every process of the terminal or kernel,
  so also the workers of a LocalCluster. They are the client's business: a nanny's worker ignores them.
* Pages of the dashboard that fail for graphs that train; see `daskpar.cluster.pages`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import socket
import threading
from collections.abc import Iterable
from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin, get_worker
from distributed.utils import sync

from daskpar.backend import blas
from daskpar.backend.array import use
from daskpar.backend.memory import keep_freed_memory
from daskpar.cluster.clients import Workers
from daskpar.cluster.pages import mend_pages, mend_worker_pages
from daskpar.cluster.user_modules import share
from daskpar.tasks.server import know_servers

logger = logging.getLogger(__name__)


class WorkerSetup(WorkerPlugin):
    """Sets every worker up, also those that join or restart later.

    Workers that are threads of the client's process leave its BLAS to the client. A worker process is set up
    as the others are, also where the client is in one of its tasks.
    """

    name = "daskpar-worker"

    def __init__(self, lanes_per_host: int, threads: int | None = None):
        self.lanes_per_host = lanes_per_host
        self.threads = threads
        self.client_process = os.getpid(), socket.gethostname()

    def setup(self, worker: Worker) -> None:
        if worker.nanny is not None or self.client_process != (os.getpid(), socket.gethostname()):
            blas.keep_threads(blas_threads(self.lanes_per_host, self.threads))
            keep_freed_memory()
            if "GPU" in worker.state.total_resources:
                use("cupy")
        if worker.nanny is not None:
            ignore_interrupts()
        know_servers(has_a_worker)
        mend_worker_pages()
        send_at_once(worker, "batched_stream")


def ignore_interrupts() -> None:
    """Ignore Ctrl-C in a process that another one has started and will end."""
    started = multiprocessing.parent_process() is not None
    if started and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def has_a_worker(actor: Any) -> bool:
    """Return whether an actor still lives on some worker, as the scheduler knows it; asked within a task.

    Not by `get_client`: its client becomes the current one of this process.
    """
    worker = get_worker()
    return any(sync(worker.loop, worker.scheduler.who_has, keys=[actor.key]).values())


class QuietTasks(WorkerPlugin):
    """Keeps workers from logging what a task raised: it is raised again, and told, where it is waited for."""

    name = "daskpar-quiet"

    def setup(self, worker: Worker) -> None:
        log = logging.getLogger("distributed.worker")
        self.level = log.level
        log.setLevel(logging.CRITICAL)

    def teardown(self, worker: Worker) -> None:
        logging.getLogger("distributed.worker").setLevel(self.level)


class SchedulerSetup(SchedulerPlugin):
    """Sets the scheduler's latency towards every worker, and mends its dashboard."""

    name = "daskpar-scheduler"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        mend_pages()
        for address in list(scheduler.workers):
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        send_at_once(scheduler, "stream_comms", worker)


def send_at_once(server: Scheduler | Worker, attribute: str, item: str | None = None) -> bool:
    """Let a `BatchedSend` of a server send without waiting; warns where distributed has changed."""
    try:
        stream = getattr(server, attribute)
        if item is not None:
            stream = stream[item]
        stream.interval += 0  # fails where there is no such thing
        stream.interval = 0
        return True
    except (AttributeError, KeyError, TypeError):
        logger.warning("distributed has no %s to speed up; steps will take some ms longer each", attribute)
        return False


def blas_threads(lanes_per_host: int, threads: int | None = None) -> int:
    """Threads for each matrix product: those asked for, or the host's cores shared among its lanes."""
    return threads or max(1, blas.cores() // max(1, lanes_per_host))


def lanes_per_host(workers: Workers, lanes: int) -> int:
    """How many of so many lanes a host of these workers has at most."""
    return -(-lanes // max(1, len({worker["host"] for worker in workers.values()})))


def in_this_process(workers: Iterable[str]) -> bool:
    """Return whether some of these workers, by address, are threads of this process."""
    return not {worker.address_safe for worker in Worker._instances}.isdisjoint(workers)


def prepare(client: Client, workers: Workers, lanes: int, threads: int | None = None) -> None:
    """Set up the scheduler and all `workers` (by address) of a client for training in so many lanes."""
    share(client)
    client.register_plugin(SchedulerSetup())
    client.register_plugin(WorkerSetup(lanes_per_host(workers, lanes), threads))


def describe(client: Client) -> dict[str, list[blas.Library]]:
    """The BLAS in force on each worker, by name."""
    found = client.run(blas.describe, on_error="ignore")  # a worker that ends meanwhile is missed later
    names = {a: str(w["name"]) for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    return {names.get(address, address): info for address, info in sorted(found.items())}


def natural(name: object) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts worker 2 before 10, whatever their names look like."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", str(name)) if p)
