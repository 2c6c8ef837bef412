"""Executors: they run the same graphs on Dask's threaded scheduler, or on a cluster through its client."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import dask

from daskpar.backend import blas
from daskpar.backend.array import PROCESS_DEFAULT
from daskpar.backend.memory import keep_freed_memory
from daskpar.cluster import setup
from daskpar.cluster.clients import THREADED, Workers, current_client, known_workers, leave_thread_pool
from daskpar.cluster.executor_protocol import Done as Done, Executor as Executor
from daskpar.cluster.patience import POLL, Patience
from daskpar.cluster.record import ClusterRecord, Record, ThreadedRecord
from daskpar.dashboard.plugin import OPERATION
from daskpar.errors import ClusterLostError, InputError, ServerLostError, one_line
from daskpar.graph.dask_api import DataNode
from daskpar.graph.graph import Graph, Key

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Rows and states are part of a graph only where the workers do not see the client's files.
_ANY_SIZE = {"distributed.admin.large-graph-warning-threshold": "1TB"}
_LOST = "the worker that held the parameters is gone"


class ThreadedExecutor(Executor):
    """Executor on Dask's threaded scheduler, without a cluster; `submit` returns when all is computed."""

    in_process = True
    module = "numpy"

    def __init__(self, lanes: int, threads: int | None = None):
        self._values: dict[Key, object] = {}
        self._threads = threads
        self._record: Record | None = None
        self._undo = ExitStack()
        self._undo.push(_set_up_this_process(lanes, threads))

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        from dask.callbacks import Callback
        from dask.threaded import get

        if self._record:
            self._record.submitted(graph)
        tasks = graph.flat()
        wanted = list(keys)
        needed = {d for task in tasks.values() for d in task.dependencies} | set(wanted)
        missing = needed - tasks.keys()
        if not missing <= self._values.keys():
            raise InputError(
                "the data are persisted on a cluster, and the threaded scheduler cannot read them; pass the "
                "cluster's client (within a task, client=get_client())"
            )
        kept = {key: DataNode(key, self._values[key]) for key in missing}
        callbacks = None  # those that are registered, e.g. a profiler's
        if done is not None:
            callbacks = [*Callback.active, (None, None, None, lambda key, *_: done(key), None)]
        values = get({**tasks, **kept}, wanted, num_workers=blas.cores(), callbacks=callbacks)
        self._values.update(zip(wanted, values, strict=True))

    def result(self, key: Key) -> Any:
        return self._values[key]

    def release(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._values.pop(key, None)

    def everywhere(self, function: Callable[..., object], *args: object) -> None:
        pass

    def on_each(self, function: Callable[..., T], *args: object) -> list[T]:
        return [function(*args)]

    def describe(self) -> dict[str, list[blas.Library]]:
        return {"threads of this process": blas.describe()}

    def record(self) -> Record:
        self._record = ThreadedRecord()
        return self._record

    def capacity(self, lanes: int) -> tuple[int, int]:
        return blas.cores(), setup.blas_threads(lanes, self._threads)

    def set_lanes(self, lanes: int) -> None:
        self._undo.push(_set_up_this_process(lanes, self._threads))

    def workers_alive(self) -> None:
        return None

    def publish(self, event: dict[str, object]) -> None:
        return None

    def at_close(self, undo: Callable[[], object]) -> None:
        self._undo.callback(undo)

    def close(self) -> None:
        self._values.clear()
        self._undo.close()


class ClusterExecutor(Executor):
    """Executor on a Dask cluster, through its client.

    Within a task of Dask, the task leaves the worker's thread pool until the executor is closed.
    """

    _refresh = 1.0  # seconds that a list of workers is valid

    def __init__(self, client: Client, lanes: int, threads: int | None = None):
        self.client = client
        self._address = client.scheduler.address
        self._futures: dict[Key, Future] = {}
        self._actors: set[Key] = set()
        self._threads = threads
        self._record: Record | None = None
        self._patience = Patience(client)
        self._seen = -math.inf
        self._workers: Workers = {}
        self._most_workers = 0
        self._set_workers(known_workers(client))
        self.in_process = all(address.startswith("inproc://") for address in self._workers)
        gpus = ["GPU" in worker["resources"] for worker in self._workers.values()]
        self.module = "numpy" if not any(gpus) else "cupy" if all(gpus) else PROCESS_DEFAULT
        self._undo = ExitStack()
        self._undo.callback(_rejoin, leave_thread_pool())
        try:
            self.set_lanes(lanes)
        except BaseException:
            self.close()
            raise

    def set_lanes(self, lanes: int) -> None:
        workers = self._workers
        with self._one_line_errors():
            setup.prepare(self.client, workers, lanes, self._threads)
        if setup.in_this_process(workers):
            self._undo.push(_set_up_this_process(lanes, self._threads))

    def workers(self) -> Workers:
        """Return the scheduler's information on the workers by address, in the order of their names."""
        if time.monotonic() - self._seen > self._refresh:
            self._set_workers(self.client.scheduler_info(n_workers=-1)["workers"])
        return self._workers

    def _set_workers(self, workers: Workers) -> None:
        self._workers = dict(sorted(workers.items(), key=lambda pair: setup.natural(pair[1]["name"])))
        self._most_workers = max(self._most_workers, len(workers))
        self._seen = time.monotonic()

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        if self._record:
            self._record.submitted(graph)
        wanted, workers = list(keys), list(self.workers())
        lanes_on = graph.high_level(workers if len(workers) > 1 else (), lanes)
        with self._one_line_errors(), dask.config.set(_ANY_SIZE):
            futures = self.client.get(lanes_on, wanted, sync=False, actors=tuple(graph.actors) or None)
        self._futures.update(zip(wanted, futures, strict=True))
        self._actors.update(graph.actors)

    def result(self, key: Key) -> Any:
        return self._awaited(self._futures[key])

    def _awaited(self, future: Future) -> Any:
        """Wait for the value of a future while the cluster can be expected to compute it."""
        self._patience.begin()
        while True:
            with self._one_line_errors():
                try:
                    return future.result(timeout=POLL)
                except TimeoutError:
                    if future.status == "error":  # the task itself has raised a TimeoutError
                        raise future.exception() from None
                    # A task that waits for a lost actor may never end, but the actor's future has failed.
                    if any(self._futures[actor].status == "error" for actor in self._actors):
                        raise ServerLostError(_LOST) from None
                    self._patience.check()
                except UnboundLocalError:  # of distributed's `sync`, if the result arrives at the time-out
                    if future.status == "error":  # the task itself has raised it
                        raise
                except (RuntimeError, OSError) as error:  # distributed's errors for a lost actor
                    if "Actor" not in str(error):
                        raise
                    raise ServerLostError(_LOST) from None

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Turn distributed's errors for a lost cluster into a ClusterLostError of one line."""
        from distributed import KilledWorker
        from distributed.client import ClosedClientError, FutureCancelledError
        from distributed.comm import CommClosedError

        try:
            yield
        except KilledWorker as error:
            raise ClusterLostError(
                f"a task's workers died again and again ({error}); if they ran out of memory, use smaller "
                "chunks (chunk_rows), or workers with more memory"
            ) from None
        except (FutureCancelledError, ClosedClientError, CommClosedError):
            raise ClusterLostError(
                f"the scheduler at {self._address} is gone, or has lost its results"
            ) from None

    def release(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._actors.discard(key)
            if key in self._futures:  # released by hand, because a traceback may refer to the future for long
                self._futures.pop(key).release()

    def everywhere(self, function: Callable[..., object], *args: object) -> None:
        if not self.in_process:
            self.client.run(function, *args, on_error="ignore")  # a lost worker is noticed later

    def on_each(self, function: Callable[..., T], *args: object) -> list[T]:
        with self._one_line_errors():
            futures = [
                self.client.submit(function, *args, workers=[w], allow_other_workers=True, pure=False)
                for w in self.workers()
            ]
        return [self._awaited(future) for future in futures]

    def describe(self) -> dict[str, list[blas.Library]]:
        with self._one_line_errors():
            return setup.describe(self.client)

    def record(self) -> Record:
        self._record = ClusterRecord(self.client)
        return self._record

    def capacity(self, lanes: int) -> tuple[int, int]:
        workers = self.workers()
        local = self.in_process or {worker["host"] for worker in workers.values()} == {"127.0.0.1"}
        each = setup.blas_threads(setup.lanes_per_host(workers, lanes), self._threads)
        return (blas.cores() if local else sum(worker["nthreads"] for worker in workers.values())), each

    def workers_alive(self) -> tuple[int, int]:
        with self._one_line_errors():
            return len(self.workers()), self._most_workers

    def publish(self, event: dict[str, object]) -> Mapping[str, object] | None:
        try:
            send = getattr(self.client.scheduler, OPERATION)  # no scheduler if the client is closed
            answer: Mapping[str, object] = self.client.sync(send, event={**event, "client": self.client.id})
        except (AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
            logger.info("the training page got no event, the training goes on: %s", one_line(repr(error)))
            return None
        return answer

    def at_close(self, undo: Callable[[], object]) -> None:
        self._undo.callback(undo)

    def close(self) -> None:
        self.release(list(self._futures))  # the scheduler cancels tasks without futures
        self._undo.close()


def _rejoin(take_thread: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the worker is closing
        take_thread()


def _set_up_this_process(lanes: int, threads: int | None) -> blas.limit_threads:
    """Set up this process for tasks, as the plugin sets up worker processes; `__exit__` undoes it."""
    keep_freed_memory()
    return blas.limit_threads(setup.blas_threads(lanes, threads)).__enter__()


def choose_executor(client: object, lanes: int, threads: int | None = None) -> Executor:
    """Return an executor for `client`: a distributed Client, or `THREADED` for Dask's threaded scheduler.

    None is the current client, or `THREADED` if there is none. Raises InputError for a client that cannot be
    used; see `daskpar.cluster.clients`.
    """
    client = current_client(client)
    return ThreadedExecutor(lanes, threads) if client == THREADED else ClusterExecutor(client, lanes, threads)
