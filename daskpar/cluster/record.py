"""Recording tasks as they run: when, in which thread, and how long values were on their way to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from daskpar.autotune.profile import TaskRun
from daskpar.graph.graph import Graph, Key
from daskpar.layout.plan import Kind

if TYPE_CHECKING:
    from distributed import Client

_POLL = 20_000  # tasks submitted between questions to the scheduler, which remembers 100,000


class Record(Protocol):
    """The tasks that ran of submitted graphs; `below`: the dependencies of each of them."""

    below: dict[Key, tuple[Key, ...]]

    def submitted(self, graph: Graph) -> None:
        """Take note of the tasks of a graph."""

    def ran(self) -> list[TaskRun]:
        """The tasks that have run so far, each as it ran last."""


class _Noted:
    def __init__(self) -> None:
        self.below: dict[Key, tuple[Key, ...]] = {}
        self._kinds: dict[Key, Kind] = {}

    def submitted(self, graph: Graph) -> None:
        self._kinds |= graph.kinds
        self.below.update({key: tuple(task.dependencies) for key, task in graph.flat().items()})

    def _kind(self, key: Key) -> Kind:
        """The operation of a task; one that was built elsewhere is named by its key."""
        name = str(key[0] if isinstance(key, tuple) else key)
        return self._kinds.get(key) or Kind(name, name, steps=False)


class ThreadedRecord(_Noted):
    """Of Dask's threaded scheduler, by dask's own profiler."""

    def __init__(self) -> None:
        from dask.diagnostics import Profiler

        super().__init__()
        self._profiler = Profiler()
        self._profiler.register()

    def ran(self) -> list[TaskRun]:
        self._profiler.unregister()
        found = (
            TaskRun(task.key, self._kind(task.key), str(task.worker_id), task.start_time, task.end_time)
            for task in self._profiler.results
        )
        return [task for task in found if task.key in self.below]


class ClusterRecord(_Noted):
    """Of a cluster, by the scheduler's task stream: what its dashboard shows."""

    def __init__(self, client: Client):
        super().__init__()
        self._client = client
        self._ran: dict[Key, TaskRun] = {}
        self._since = 0
        client.get_task_stream(count=0)  # the scheduler begins to keep it when it is first asked for

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
