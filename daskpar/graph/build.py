"""Collecting tasks into a HighLevelGraph: one layer a block operation, keys that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dask._task_spec import List, Task, TaskRef, convert_legacy_graph
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

Key = tuple[Any, ...]


class Graph:
    """Tasks of one submission, grouped by block operation.

    A key is `("<verb>-<noun>-<token>", step, index...)`: the dashboard groups tasks by the leading words.
    The token begins with a digit, so that it is never taken for one of the words.
    """

    def __init__(self, token: str):
        self.token = token
        self.tasks: dict[str, dict[Key, Any]] = {}
        self.lanes: dict[Key, int] = {}
        self.actors: list[Key] = []

    def key(self, operation: str, *index: Any) -> Key:
        return (f"{operation}-{self.token}", *index)

    def add(
        self,
        operation: str,
        index: tuple[Any, ...],
        func: Callable[..., Any],
        *args: Any,
        lane: int | None = None,
    ) -> Key:
        """Add one task and return its key. `Ref` arguments stand for the values of other tasks."""
        key = self.key(operation, *index)
        self.tasks.setdefault(operation, {})[key] = Task(key, func, *args)
        if lane is not None:
            self.settle(key, lane)
        return key

    def settle(self, key: Key, lane: int) -> None:
        """Say at which place of work a task is to run."""
        self.lanes[key] = lane

    def include(self, operation: str, tasks: dict[Any, Any]) -> None:
        """Add tasks that were built elsewhere, e.g. by dask.array."""
        self.tasks.setdefault(operation, {}).update(convert_legacy_graph(tasks))

    def __len__(self) -> int:
        return sum(map(len, self.tasks.values()))

    def flat(self) -> dict[Any, Any]:
        """All tasks in one dict."""
        return {key: task for layer in self.tasks.values() for key, task in layer.items()}

    def high_level(self, workers: Sequence[str] = (), lanes: int = 1) -> HighLevelGraph:
        """The HighLevelGraph, each lane's tasks preferring the same worker (never insisting on it)."""
        place = (
            Placement({k: workers[lane * len(workers) // lanes] for k, lane in self.lanes.items()})
            if workers
            else None
        )
        layers, owner = {}, {}
        for operation, tasks in self.tasks.items():
            name = f"{operation}-{self.token}"
            notes: dict[str, Any] = {"priority": 1} if is_urgent(operation) else {}
            if place:
                notes |= {"workers": place, "allow_other_workers": True}
            layers[name] = MaterializedLayer(tasks, annotations=notes or None)
            owner.update(dict.fromkeys(tasks, name))
        dependencies = {
            name: {owner[d] for task in layer.values() for d in task.dependencies if d in owner} - {name}
            for name, layer in layers.items()
        }
        return HighLevelGraph(layers, dependencies)


class Scope(Graph):
    """A part of a graph whose keys bear a name after the step, and whose lanes count from `shift` on."""

    def __init__(self, graph: Graph, name: str, shift: int):
        super().__init__(graph.token)
        self.graph, self.name, self.shift = graph, name, shift
        self.tasks = graph.tasks

    def key(self, operation: str, *index: Any) -> Key:
        return self.graph.key(operation, index[0], self.name, *index[1:])

    def settle(self, key: Key, lane: int) -> None:
        super().settle(key, lane)
        self.graph.settle(key, lane + self.shift)


class Placement:
    """The worker that a key prefers, as dask asks for it; None leaves the choice to the scheduler."""

    def __init__(self, workers: dict[Key, str]):
        self.workers = workers

    def __call__(self, key: Key) -> list[str] | None:
        worker = self.workers.get(key)
        return None if worker is None else [worker]


def is_urgent(operation: str) -> bool:
    """Whether tasks are short and others wait for them: a worker is to do them before it goes on."""
    return operation.startswith(("send-", "pick-", "round-", "reduce-", "join-", "halo-"))


Ref = TaskRef


def several(keys: Iterable[Key]) -> Any:
    """A list of the values of other tasks, as one argument."""
    return List(*refs(keys))


def refs(keys: Iterable[Key]) -> list[TaskRef]:
    return [TaskRef(key) for key in keys]
