"""The tasks of one submission, as a HighLevelGraph with a layer for each kind of operation.

layer "grad-0f3…"              ("grad-0f3…", 7, 0)   ("grad-0f3…", 7, 1)   ("grad-0f3…", 8, 0)   ...
layer "reduce-gradient-0f3…"   ("reduce-gradient-0f3…", 7, 0, 0)           ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from daskpar.graph.dask_api import GraphNode, Task, TaskRef, convert_legacy_graph
from daskpar.layout.plan import Kind

Key = tuple[Any, ...]
"""(`<verb>-<noun>-<token>`, step, index...)"""
Ref = TaskRef


class Graph:
    """The tasks of one submission, grouped by operation.

    The dashboard groups tasks by the first words of their keys. `token` begins with a digit, so that it is
    never taken for one of these words. `tasks` are the tasks of each operation, `kinds` the kind of each
    task, `slots` the slots of tasks that have one, `actors` the keys of actors.
    """

    def __init__(self, token: str):
        self.token = token
        self.tasks: dict[str, dict[Key, GraphNode]] = {}
        self.kinds: dict[Key, Kind] = {}
        self.slots: dict[Key, int] = {}
        self.actors: list[Key] = []

    def key(self, operation: str, *index: object) -> Key:
        """Return the key of a task of an operation."""
        return (f"{operation}-{self.token}", *index)

    def add(
        self,
        operation: str | Kind,
        index: tuple[object, ...],
        func: Callable[..., object],
        *args: object,
        slot: int | None = None,
    ) -> Key:
        """Add one task and return its key.

        Args:
            operation: Kind of the operation; a name is one that belongs to no step.
            index: Numbers behind the name in the key.
            func: Function that the worker calls.
            args: Its arguments. A `Ref` is replaced by the value of the task that it names.
            slot: Slot of the task; None leaves the worker to the scheduler. Default: None.
        """
        kind = Kind(operation, operation, steps=False) if isinstance(operation, str) else operation
        key = self.key(kind.name, *index)
        self.put(kind, key, Task(key, func, *args), slot)
        return key

    def put(self, kind: Kind, key: Key, task: GraphNode, slot: int | None) -> None:
        """Add a task that is already built."""
        tasks = self.tasks.get(kind.name)
        if tasks is None:
            tasks = self.tasks[kind.name] = {}
        tasks[key] = task
        self.kinds[key] = kind
        if slot is not None:
            self.slots[key] = slot
        if kind.actor:
            self.actors.append(key)

    def include(self, operation: str, tasks: Mapping[Any, Any]) -> None:
        """Add tasks that another library has built, such as dask.array."""
        self.tasks.setdefault(operation, {}).update(convert_legacy_graph(tasks))

    def kind(self, key: Key) -> Kind | None:
        """Return the kind of a task's operation; None for a task of another library."""
        return self.kinds.get(key)

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values()))

    def flat(self) -> dict[Key, GraphNode]:
        """Return all tasks in one dict."""
        return {key: task for layer in self.tasks.values() for key, task in layer.items()}

    def high_level(self, workers: Sequence[str] = (), slots: int = 1) -> HighLevelGraph:
        """Return the HighLevelGraph.

        Args:
            workers: Addresses. Tasks of one slot prefer the same worker, but may run on any. Default: none,
                the scheduler chooses.
            slots: Number of slots, which are spread over the workers. Default: 1.
        """
        urgent = {kind.name for kind in set(self.kinds.values()) if kind.urgent}
        placement = (
            Placement({key: workers[slot * len(workers) // slots] for key, slot in self.slots.items()})
            if workers
            else None
        )
        layers, owner = {}, {}
        for operation, tasks in self.tasks.items():
            name = f"{operation}-{self.token}"
            notes: dict[str, object] = {"priority": 1} if operation in urgent else {}
            if placement:
                notes |= {"workers": placement, "allow_other_workers": True}
            layers[name] = MaterializedLayer(tasks, annotations=notes or None)
            owner.update(dict.fromkeys(tasks, name))
        dependencies = {
            name: {owner[d] for task in layer.values() for d in task.dependencies if d in owner} - {name}
            for name, layer in layers.items()
        }
        return HighLevelGraph(layers, dependencies)


class Placement:
    """The worker that each task prefers, in the form of Dask's `workers` annotation."""

    def __init__(self, workers: dict[Key, str]):
        self.workers = workers

    def __call__(self, key: Key) -> list[str] | None:
        worker = self.workers.get(key)
        return None if worker is None else [worker]


def refs(keys: Sequence[Key]) -> list[TaskRef]:
    """Return references to the values of tasks."""
    return [TaskRef(key) for key in keys]
