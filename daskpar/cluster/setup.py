"""Settings of a cluster's scheduler and workers; the only module that uses distributed's internals.

* BLAS threads: cores of the host ÷ lanes on it. The number of threads may change the last bit of a product,
  so it depends on the layout and the machine, and not on the current number of workers.
* Memory: a worker process keeps the memory that it frees, because the next step needs blocks of the same
  sizes.
* Batching latency: by default the scheduler sends to a worker at most every 5 ms, and a worker to the
  scheduler every 2 ms (`BatchedSend.interval`). Each training step waits for both, so they are set to 0.
* Interrupts: Ctrl-C and the interrupt of a notebook's kernel reach every process of the terminal or kernel,
  including the workers of a LocalCluster. Only the client handles them: a nanny's worker ignores them.
* Dashboard: its pages that fail for graphs of a training are corrected; see `daskpar.cluster.pages`.
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
from daskpar.dashboard.plugin import TrainingPage
from daskpar.tasks.server import know_servers

logger = logging.getLogger(__name__)


class WorkerSetup(WorkerPlugin):
    """Plugin that sets up every worker, also workers that join or restart later.

    Workers in the client's process leave the BLAS settings to the client. Worker processes are all set up
    alike, also one with the client in a task.
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
    """Ignore Ctrl-C in a process that was started by another process, which will end it."""
    started = multiprocessing.parent_process() is not None
    if started and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def has_a_worker(actor: Any) -> bool:
    """Ask the scheduler, from within a task, whether an actor is still on a worker.

    `get_client` is not used here, because its client would become the current one of this process.
    """
    worker = get_worker()
    return any(sync(worker.loop, worker.scheduler.who_has, keys=[actor.key]).values())


class QuietTasks(WorkerPlugin):
    """Plugin that silences the workers' logs of task errors, which the client raises again."""

    name = "daskpar-quiet"

    def setup(self, worker: Worker) -> None:
        log = logging.getLogger("distributed.worker")
        self.level = log.level
        log.setLevel(logging.CRITICAL)

    def teardown(self, worker: Worker) -> None:
        logging.getLogger("distributed.worker").setLevel(self.level)


class SchedulerSetup(SchedulerPlugin):
    """Plugin that lets the scheduler send to workers without delay, and corrects its dashboard."""

    name = "daskpar-scheduler"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        mend_pages()
        for address in list(scheduler.workers):
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        send_at_once(scheduler, "stream_comms", worker)


def send_at_once(server: Scheduler | Worker, attribute: str, item: str | None = None) -> bool:
    """Let a `BatchedSend` of a server send without delay, and return whether this was possible.

    Logs a warning if this version of distributed has no such attribute.
    """
    try:
        stream = getattr(server, attribute)
        if item is not None:
            stream = stream[item]
        stream.interval += 0  # raises if there is no such attribute
        stream.interval = 0
        return True
    except (AttributeError, KeyError, TypeError):
        logger.warning("distributed has no %s to speed up; each step will take some ms longer", attribute)
        return False


def blas_threads(lanes_per_host: int, threads: int | None = None) -> int:
    """Return the threads of a matrix product: `threads` if set, else the host's cores per lane."""
    return threads or max(1, blas.cores() // max(1, lanes_per_host))


def lanes_per_host(workers: Workers, lanes: int) -> int:
    """Return the largest number of lanes on a host, for `lanes` lanes on these workers."""
    return -(-lanes // max(1, len({worker["host"] for worker in workers.values()})))


def in_this_process(workers: Iterable[str]) -> bool:
    """Return whether some of these workers, given by address, run in this process."""
    return not {worker.address_safe for worker in Worker._instances}.isdisjoint(workers)


def prepare(client: Client, workers: Workers, lanes: int, threads: int | None = None) -> None:
    """Set up the scheduler and all workers of a client for a training in `lanes` lanes."""
    share(client)
    client.register_plugin(SchedulerSetup())
    client.register_plugin(TrainingPage())
    client.register_plugin(WorkerSetup(lanes_per_host(workers, lanes), threads))


def describe(client: Client) -> dict[str, list[blas.Library]]:
    """Return the BLAS libraries in use on each worker, by the worker's name."""
    libraries = client.run(blas.describe, on_error="ignore")  # a lost worker is noticed later
    names = {a: str(w["name"]) for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    return {names.get(address, address): info for address, info in sorted(libraries.items())}


def natural(name: object) -> tuple[tuple[int, int, str], ...]:
    """Return the sort key of a name in natural order: worker 2 before worker 10."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", str(name)) if p)
