"""What a graph would take on so many workers: its tasks played through, event by event."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from dask.utils import key_split

from daskpar.graph.build import Graph, Key, is_urgent

Entry = tuple[float, tuple[bool, int], Any]
"""When a task is due, its rank among those that are, its key."""


class Simulated(NamedTuple):
    """`seconds` from first to last, `busy` seconds of each worker, and when each task ran (start, stop)."""

    seconds: float
    busy: dict[int, float]
    ran: dict[Key, tuple[float, float]]

    @property
    def idle(self) -> float:
        """The share of the time in which workers that do anything at all do nothing."""
        return 1 - sum(self.busy.values()) / (len(self.busy) * self.seconds)


def simulate(
    graph: Graph,
    duration: Callable[[str], float],
    workers: int,
    places: int,
    hop: float = 0.0,
    moved: Callable[[str], float] = lambda operation: 0.0,
) -> Simulated:
    """Play a graph through. Every task runs as soon as what it needs is there and its worker is free.

    `duration(operation)`: seconds of a task by the name it is shown under, e.g. `grad`. `places` of work are
    dealt out to `workers` as training does it; tasks without one run on the first. `hop`: seconds until a
    worker hears that a task is due; `moved(operation)`: seconds that a task's value takes to another worker.
    """
    tasks = graph.flat()
    home = {key: graph.lanes.get(key, 0) * workers // places for key in tasks}
    waiting = {key: len([d for d in task.dependencies if d in tasks]) for key, task in tasks.items()}
    needed_by: dict[Key, list[Key]] = defaultdict(list)
    for key, task in tasks.items():
        for below in task.dependencies:
            if below in tasks:
                needed_by[below].append(key)
    order = {key: (not is_urgent(key_split(key)), number) for number, key in enumerate(tasks)}
    due = dict.fromkeys(tasks, 0.0)
    ready: dict[int, list[Entry]] = defaultdict(list)
    free: dict[int, float] = defaultdict(float)
    busy: dict[int, float] = defaultdict(float)
    ran: dict[Key, tuple[float, float]] = {}
    for key, count in waiting.items():
        if not count:
            heapq.heappush(ready[home[key]], (0.0, order[key], key))
    while any(ready.values()):
        start, worker = min((max(queue[0][0], free[w]), w) for w, queue in ready.items() if queue)
        key = _next(ready[worker], start)
        name = key_split(key)
        stop = start + duration(name)
        ran[key], free[worker] = (start, stop), stop
        busy[worker] += stop - start
        for above in needed_by[key]:
            there = stop + hop + (moved(name) if home[above] != worker else 0.0)
            due[above] = max(due[above], there)
            waiting[above] -= 1
            if not waiting[above]:
                heapq.heappush(ready[home[above]], (due[above], order[above], above))
    seconds = max((stop for _, stop in ran.values()), default=0.0)
    return Simulated(seconds, {w: b for w, b in busy.items() if b}, ran)


def _next(queue: list[Entry], now: float) -> Key:
    """Of the tasks that are due an urgent one, or the one that the graph has first."""
    due = []
    while queue and queue[0][0] <= now:
        due.append(heapq.heappop(queue))
    first = min(due, key=lambda entry: entry[1])
    for entry in due:
        if entry is not first:
            heapq.heappush(queue, entry)
    return first[2]
