"""Interface of executors, which run graphs of tasks and keep the values that were asked for.

`ThreadedExecutor` and `ClusterExecutor` in `daskpar.cluster.executor` implement it. A training uses it so:

    submit(graph, keys) ──> tasks run ──> result(key) ──> release(keys)
         └── the next graph may already refer to keys that are not released ──┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from daskpar.backend import blas
from daskpar.cluster.record import Record
from daskpar.graph.graph import Graph, Key

T = TypeVar("T")
Done = Callable[[Key], object]
"""A function that is called with the key of each finished task."""


class Executor(Protocol):
    """Interface of executors. An executor keeps the values of keys until they are released."""

    in_process: bool
    """True if tasks run in this process, so that arrays are not sent."""
    module: str
    """Array module of the workers.

    It is `cupy` if all have a GPU, `numpy` if none has, and `here` (the default of each process) otherwise.
    """

    def submit(self, graph: Graph, keys: Iterable[Key], lanes: int, done: Done | None = None) -> None:
        """Start to compute `keys`.

        Tasks of the graph may refer to keys of earlier graphs that are not released. If the tasks are
        computed before this returns, `done` is called with the key of each finished task.
        """

    def result(self, key: Key) -> Any:
        """Wait for the value of a key and return it. Raises the error of its task."""

    def release(self, keys: Iterable[Key]) -> None:
        """Release keys, so that their values may be freed."""

    def everywhere(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in every process that runs tasks, except this one."""

    def on_each(self, function: Callable[..., T], *args: object) -> list[T]:
        """Run a function as a task on each worker, all at once, and return the values in worker order."""

    def describe(self) -> dict[str, list[blas.Library]]:
        """Return the BLAS libraries in use, by worker."""

    def record(self) -> Record:
        """Start to record the tasks of the graphs that are submitted from now on, and return the record."""

    def capacity(self, lanes: int) -> tuple[int, int]:
        """Return the number of cores for tasks, and the number that a task of one of `lanes` lanes uses."""

    def set_lanes(self, lanes: int) -> None:
        """Share the cores among `lanes` lanes from now on."""

    def workers_alive(self) -> tuple[int, int] | None:
        """Return the numbers of workers now, and at most so far; None on the threaded scheduler.

        It is cheap: the list of workers is refreshed at most once a second.
        """

    def publish(self, event: dict[str, object]) -> Mapping[str, object] | None:
        """Send an event of a run to the training page, and return its answer; None if there is no page."""

    def at_close(self, undo: Callable[[], object]) -> None:
        """Call `undo` when the executor is closed."""

    def close(self) -> None:
        """Release all keys, and restore the settings of this process that the executor changed."""
