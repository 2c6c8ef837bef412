"""Executors of graphs: Dask's threaded scheduler, or a cluster behind a client. The graphs are the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from daskpar.backend import blas
from daskpar.backend.array import PROCESS_DEFAULT
from daskpar.backend.memory import keep_freed_memory
from daskpar.cluster import setup
from daskpar.cluster.clients import THREADED, Workers, current_client, known_workers, leave_thread_pool
from daskpar.cluster.patience import LOOK, Patience
from daskpar.cluster.record import ClusterRecord, Record, ThreadedRecord
from daskpar.errors import ClusterLostError, InputError, ServerLostError
from daskpar.graph.dask_api import DataNode
from daskpar.graph.graph import Graph, Key

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
Done = Callable[[Key], object]

_LOST = "the worker that held the parameters is gone"


class Executor(Protocol):
    """Runs graphs and holds the values of the keys that were asked for, until they are released."""

    in_process: bool
    """True where tasks run in this process, so that arrays need not be sent."""
    module: str
    """The array module of the workers: `cupy` where all have a GPU, `here` where some have, else `numpy`."""

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        """Start computing `keys`; tasks of the graph may refer to keys held from before.

        `done` hears of each finished task, where the tasks are computed before this returns.
        """

    def result(self, key: Key) -> Any:
        """The value of a key, waiting for it; raises what its task raised."""

    def release(self, keys: Iterable[Key]) -> None:
        """Let go of keys."""

    def everywhere(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in every process that runs tasks and is not this one."""

    def on_each(self, function: Callable[..., T], *args: object) -> list[T]:
        """What a function gives in a task on each worker, all at once, in the order of the workers."""

    def describe(self) -> dict[str, list[blas.Library]]:
        """The BLAS in force, by worker."""

    def record(self) -> Record:
        """Begin to record the tasks of the graphs that are submitted from now on."""

    def capacity(self, lanes: int) -> tuple[int, int]:
        """(cores that tasks may compute on, those that a task of one of so many lanes computes on)."""

    def set_lanes(self, lanes: int) -> None:
        """Share the cores among so many lanes from now on, as if opened for them."""

    def at_close(self, undo: Callable[[], object]) -> None:
        """Call `undo` when this is closed."""

    def close(self) -> None:
        """Let go of everything, and undo what was set in this process."""


class ThreadedExecutor:
    """Dask's own threaded scheduler: no cluster, no dashboard; `submit` returns when all is computed."""

    in_process = True
    module = "numpy"

    def __init__(self, lanes: int, threads: int | None = None):
        self._values: dict[Key, object] = {}
        self._threads = threads
        self._record: Record | None = None
        self._undo = ExitStack()
        self._undo.push(_set_up_this_process(lanes, threads))

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        from dask.threaded import get

        if self._record:
            self._record.submitted(graph)
        tasks = graph.flat()
        wanted = list(keys)
        needed = {d for task in tasks.values() for d in task.dependencies} | set(wanted)
        missing = needed - tasks.keys()
        if not missing <= self._values.keys():
            raise InputError(
                "the data are on a cluster, as persisted, and the threaded scheduler cannot reach them; pass "
                "its client (within a task, client=get_client())"
            )
        held = {key: DataNode(key, self._values[key]) for key in missing}
        hear = None if done is None else [(None, None, None, lambda key, *_: done(key), None)]
        values = get({**tasks, **held}, wanted, num_workers=blas.cores(), callbacks=hear)
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

    def at_close(self, undo: Callable[[], object]) -> None:
        self._undo.callback(undo)

    def close(self) -> None:
        self._values.clear()
        self._undo.close()


class ClusterExecutor:
    """A Dask cluster, through its client. Within a task, its thread is given back until this is closed."""

    _refresh = 1.0  # seconds that a list of workers is taken to hold

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
        self._take_in(known_workers(client))
        found = self._workers
        self.in_process = all(address.startswith("inproc://") for address in found)
        gpus = ["GPU" in worker["resources"] for worker in found.values()]
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
        with self._telling():
            setup.prepare(self.client, workers, lanes, self._threads)
        if setup.in_this_process(workers):
            self._undo.push(_set_up_this_process(lanes, self._threads))

    def workers(self) -> Workers:
        """What is known of the workers by address, in the order of their names."""
        if time.monotonic() - self._seen > self._refresh:
            self._take_in(self.client.scheduler_info(n_workers=-1)["workers"])
        return self._workers

    def _take_in(self, workers: Workers) -> None:
        self._workers = dict(sorted(workers.items(), key=lambda pair: setup.natural(pair[1]["name"])))
        self._seen = time.monotonic()

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        if self._record:
            self._record.submitted(graph)
        wanted, workers = list(keys), list(self.workers())
        lanes_on = graph.high_level(workers if len(workers) > 1 else (), lanes)
        with self._telling():
            futures = self.client.get(lanes_on, wanted, sync=False, actors=tuple(graph.actors) or None)
        self._futures.update(zip(wanted, futures, strict=True))
        self._actors.update(graph.actors)

    def result(self, key: Key) -> Any:
        return self._awaited(self._futures[key])

    def _awaited(self, future: Future) -> Any:
        """The value of a future, waiting for it as long as the cluster can be expected to compute it."""
        self._patience.begin()
        while True:
            with self._telling():
                try:
                    return future.result(timeout=LOOK)
                except TimeoutError:
                    if future.status == "error":  # what the task itself has raised
                        raise future.exception() from None
                    # what waits for an actor that is lost may wait for ever, but the actor itself has failed
                    if any(self._futures[actor].status == "error" for actor in self._actors):
                        raise ServerLostError(_LOST) from None
                    self._patience.check()
                except UnboundLocalError:  # distributed's `sync`: a result came with the time-out
                    if future.status == "error":  # what the task itself has raised
                        raise
                except (RuntimeError, OSError) as error:  # what distributed says of a lost actor
                    if "Actor" not in str(error):
                        raise
                    raise ServerLostError(_LOST) from None

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what distributed raises when a cluster is lost into a line."""
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
                f"the scheduler at {self._address} went away, or lost what it held"
            ) from None

    def release(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._actors.discard(key)
            if key in self._futures:  # the traceback of what it raised may hold it for long
                self._futures.pop(key).release()

    def everywhere(self, function: Callable[..., object], *args: object) -> None:
        if not self.in_process:
            self.client.run(function, *args, on_error="ignore")  # a worker that dies here is missed later

    def on_each(self, function: Callable[..., T], *args: object) -> list[T]:
        with self._telling():
            futures = [
                self.client.submit(function, *args, workers=[w], allow_other_workers=True, pure=False)
                for w in self.workers()
            ]
        return [self._awaited(future) for future in futures]

    def describe(self) -> dict[str, list[blas.Library]]:
        with self._telling():
            return setup.describe(self.client)

    def record(self) -> Record:
        self._record = ClusterRecord(self.client)
        return self._record

    def capacity(self, lanes: int) -> tuple[int, int]:
        found = self.workers()
        here = self.in_process or {worker["host"] for worker in found.values()} == {"127.0.0.1"}
        each = setup.blas_threads(setup.lanes_per_host(found, lanes), self._threads)
        return (blas.cores() if here else sum(worker["nthreads"] for worker in found.values())), each

    def at_close(self, undo: Callable[[], object]) -> None:
        self._undo.callback(undo)

    def close(self) -> None:
        self.release(list(self._futures))  # what nobody wants any more the scheduler drops, running or not
        self._undo.close()


def _rejoin(take_thread: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the worker is closing, and takes nobody any more
        take_thread()


def _set_up_this_process(lanes: int, threads: int | None) -> blas.limit_threads:
    """Set up this process for tasks as a plugin sets up workers elsewhere; undone by its `__exit__`."""
    keep_freed_memory()
    return blas.limit_threads(setup.blas_threads(lanes, threads)).__enter__()


def choose_executor(client: object, lanes: int, threads: int | None = None) -> Executor:
    """An executor for `client`: a distributed Client, or `THREADED` for Dask's own threaded scheduler.

    None is the current client, and `THREADED` where there is none. Raises InputError for a client that cannot
    be used; see `daskpar.cluster.clients`.
    """
    client = current_client(client)
    return ThreadedExecutor(lanes, threads) if client == THREADED else ClusterExecutor(client, lanes, threads)
