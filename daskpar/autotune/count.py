"""The counts of a graph: tasks, hops, and values that are sent between slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from daskpar.graph.graph import Graph


class Counts(NamedTuple):
    """The counts of a graph.

    `tasks` are the numbers of tasks by operation, `hops` the tasks on the longest path, `crossings` the
    values that another slot needs, once for each such slot.
    """

    tasks: dict[str, int]
    hops: int
    crossings: int


def count(graph: Graph) -> Counts:
    """Count the tasks of a graph, those on its longest path, and the values that are sent between slots."""
    tasks = graph.flat()
    crossings = {
        (below, graph.slots[key])
        for key, task in tasks.items()
        for below in task.dependencies
        if key in graph.slots and below in graph.slots and graph.slots[key] != graph.slots[below]
    }
    counted = {operation: len(layer) for operation, layer in graph.tasks.items() if layer}
    return Counts(counted, longest_path(tasks), len(crossings))


def longest_path(tasks: Mapping[Any, Any]) -> int:
    """Return the number of tasks on the longest chain of dependencies."""
    depth: dict[Any, int] = {}
    stack = list(tasks)
    while stack:
        key = stack[-1]
        below = [d for d in tasks[key].dependencies if d in tasks]
        missing = [d for d in below if d not in depth]
        if missing:
            stack.extend(missing)
            continue
        depth[stack.pop()] = 1 + max((depth[d] for d in below), default=0)
    return max(depth.values(), default=0)
