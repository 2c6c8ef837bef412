"""Records of the tasks that ran: start, end, thread, and the time that their inputs took to arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from daskpar.autotune.profile import TaskRun
from daskpar.graph.graph import Graph, Key
from daskpar.layout.plan import Kind

if TYPE_CHECKING:
    from distributed import Client

_POLL = 20_000  # submitted tasks between two polls of the scheduler, which keeps the last 100,000


class Record(Protocol):
    """Record of the tasks of submitted graphs."""

    below: dict[Key, tuple[Key, ...]]
    """Dependencies of each task."""

    def submitted(self, graph: Graph) -> None:
        """Add the tasks of a graph to the record."""

    def ran(self) -> list[TaskRun]:
        """Return the tasks that have run so far, each with its last run."""


class _Submitted(Record):
    def __init__(self) -> None:
        self.below: dict[Key, tuple[Key, ...]] = {}
        self._kinds: dict[Key, Kind] = {}

    def submitted(self, graph: Graph) -> None:
        self._kinds |= graph.kinds
        self.below.update({key: tuple(task.dependencies) for key, task in graph.flat().items()})

    def _kind(self, key: Key) -> Kind:
        """Return the operation of a task, or one named by its key for a task that daskpar did not build."""
        name = str(key[0] if isinstance(key, tuple) else key)
        return self._kinds.get(key) or Kind(name, name, steps=False)


class ThreadedRecord(_Submitted):
    """Record of tasks on Dask's threaded scheduler, from Dask's profiler."""

    def __init__(self) -> None:
        from dask.diagnostics import Profiler

        super().__init__()
        self._profiler = Profiler()
        self._profiler.register()

    def ran(self) -> list[TaskRun]:
        self._profiler.unregister()
        runs = (
            TaskRun(task.key, self._kind(task.key), str(task.worker_id), task.start_time, task.end_time)
            for task in self._profiler.results
        )
        return [task for task in runs if task.key in self.below]


class ClusterRecord(_Submitted):
    """Record of tasks on a cluster, from the task stream that the dashboard shows."""

    def __init__(self, client: Client):
        super().__init__()
        self._client = client
        self._ran: dict[Key, TaskRun] = {}
        self._since = 0
        client.get_task_stream(count=0)  # the first request starts the recording on the scheduler

    def submitted(self, graph: Graph) -> None:
        super().submitted(graph)
        self._since += len(graph)
        if self._since >= _POLL:
            self._poll()

    def ran(self) -> list[TaskRun]:
        self._poll()
        return list(self._ran.values())

    def _poll(self) -> None:
        self._since = 0
        for entry in self._client.get_task_stream():
            times = {
                action: [(s["start"], s["stop"]) for s in entry["startstops"] if s["action"] == action]
                for action in ("compute", "transfer")
            }
            if entry["key"] in self.below and times["compute"]:
                start, stop = times["compute"][-1]
                thread = f"{entry['worker']} {entry['thread']}"
                key, moves = entry["key"], tuple(times["transfer"])
                self._ran[key] = TaskRun(key, self._kind(key), thread, start, stop, moves)
