"""Tasks of one submission, collected into a HighLevelGraph: a layer an operation, keys a person can read."""

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
    """Tasks of one submission, grouped by operation.

    The dashboard groups tasks by the leading words of their keys. `token` begins with a digit, so that it is
    never taken for one of the words. `kinds`: the kind of each task. `lanes`: the slot of a task, where it
    has one.
    """

    def __init__(self, token: str):
        self.token = token
        self.tasks: dict[str, dict[Key, GraphNode]] = {}
        self.kinds: dict[Key, Kind] = {}
        self.lanes: dict[Key, int] = {}
        self.actors: list[Key] = []

    def key(self, operation: str, *index: object) -> Key:
        return (f"{operation}-{self.token}", *index)

    def add(
        self,
        operation: str | Kind,
        index: tuple[object, ...],
        func: Callable[..., object],
        *args: object,
        lane: int | None = None,
    ) -> Key:
        """Add one task and return its key. `Ref` arguments stand for the values of other tasks.

        A name stands for an operation that is not part of a step.
        """
        kind = Kind(operation, operation, steps=False) if isinstance(operation, str) else operation
        key = self.key(kind.name, *index)
        self.put(kind, key, Task(key, func, *args), lane)
        return key

    def put(self, kind: Kind, key: Key, task: GraphNode, slot: int | None) -> None:
        """Add a task that was made elsewhere."""
        tasks = self.tasks.get(kind.name)
        if tasks is None:
            tasks = self.tasks[kind.name] = {}
        tasks[key] = task
        self.kinds[key] = kind
        if slot is not None:
            self.lanes[key] = slot
        if kind.actor:
            self.actors.append(key)

    def include(self, operation: str, tasks: Mapping[Any, Any]) -> None:
        """Add tasks that were built elsewhere, e.g. by dask.array."""
        self.tasks.setdefault(operation, {}).update(convert_legacy_graph(tasks))

    def kind(self, key: Key) -> Kind | None:
        """The kind of operation of a task; None for one that was built elsewhere."""
        return self.kinds.get(key)

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values()))

    def flat(self) -> dict[Key, GraphNode]:
        """All tasks in one dict."""
        return {key: task for layer in self.tasks.values() for key, task in layer.items()}

    def high_level(self, workers: Sequence[str] = (), lanes: int = 1) -> HighLevelGraph:
        """The HighLevelGraph, each slot's tasks preferring the same worker (never insisting on it)."""
        urgent = {kind.name for kind in set(self.kinds.values()) if kind.urgent}
        placement = (
            Placement({k: workers[lane * len(workers) // lanes] for k, lane in self.lanes.items()})
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
    """The worker that a key prefers, as dask asks for it; None leaves the choice to the scheduler."""

    def __init__(self, workers: dict[Key, str]):
        self.workers = workers

    def __call__(self, key: Key) -> list[str] | None:
        worker = self.workers.get(key)
        return None if worker is None else [worker]


def refs(keys: Sequence[Key]) -> list[TaskRef]:
    """References to the values of tasks."""
    return [TaskRef(key) for key in keys]
