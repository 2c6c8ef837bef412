"""The simulation of a graph on so many workers: its tasks played through, event by event."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from daskpar.graph.graph import Graph, Key


class Cost(NamedTuple):
    """What a task takes: seconds, and bytes of the value that it gives."""

    seconds: float = 0.0
    size: int = 0


class Network(NamedTuple):
    """What lies between workers.

    `hop`: seconds from the end of a task to the begin of one on another worker that waits for it, `near`: on
    the same worker (the same, unless given). `scheduler`: seconds for which the scheduler is busy with each
    task, one after the other. `bandwidth`: bytes a second from worker to worker, each with a line of its own.
    `cores`: how many tasks can run at once on all workers together, where they share a machine; if there are
    more workers, what is sent to them and what the scheduler does for them takes time of these cores, too.
    """

    hop: float = 0.0
    near: float | None = None
    scheduler: float = 0.0
    bandwidth: float = math.inf
    cores: int | None = None


class Simulated(NamedTuple):
    """`seconds` from first to last, `busy` seconds of each worker, and when each task ran (start, stop).

    `moved`: bytes from worker to worker. `memory`: the most bytes that each worker held at once.
    """

    seconds: float
    busy: dict[int, float]
    ran: dict[Key, tuple[float, float]]
    moved: int
    memory: dict[int, int]

    @property
    def idle(self) -> float:
        """The share of the time in which workers that do anything at all do nothing."""
        return 1 - sum(self.busy.values()) / (len(self.busy) * self.seconds)


def simulate(
    graph: Graph, cost: Callable[[Key], Cost], workers: int, places: int, network: Network | None = None
) -> Simulated:
    """Play a graph through. Every task runs as soon as what it needs is there and its worker is free.

    `places` of work are dealt out to `workers` as training does it; tasks without one run on the first.
    """
    return _Play(graph, cost, workers, places, network or Network()).run()


class _Play:
    """Two kinds of events, in order of time: a task is due on a worker, and a worker has ended one."""

    def __init__(
        self, graph: Graph, cost: Callable[[Key], Cost], workers: int, places: int, network: Network
    ):
        self.tasks, self.network = graph.flat(), network
        self.crowded = network.cores is not None and workers > network.cores
        self.costs = {key: cost(key) for key in self.tasks}
        self.home = {key: graph.slots.get(key, 0) * workers // places for key in self.tasks}
        self.below = {
            key: [d for d in task.dependencies if d in self.tasks] for key, task in self.tasks.items()
        }
        self.waiting = {key: len(below) for key, below in self.below.items()}
        self.needed_by: dict[Key, list[Key]] = defaultdict(list)
        for key, below in self.below.items():
            for dependency in below:
                self.needed_by[dependency].append(key)
        kinds = {key: graph.kind(key) for key in self.tasks}
        self.rank = {key: (not (kind and kind.urgent), n) for n, (key, kind) in enumerate(kinds.items())}
        self.due = dict.fromkeys(self.tasks, 0.0)
        self.ready: dict[int, list[tuple[tuple[bool, int], Key]]] = defaultdict(list)
        self.running: set[int] = set()
        self.starved: list[int] = []  # workers that could begin, were there a core
        self.busy: dict[int, float] = defaultdict(float)
        self.ran: dict[Key, tuple[float, float]] = {}
        self.events: list[tuple[float, int, int, Key]] = []  # time, 0: due or 1: ended, number, task
        self.copies: dict[tuple[Key, int], int] = {}  # uses to come of a value on a worker
        self.held: dict[int, int] = defaultdict(int)
        self.most: dict[int, int] = defaultdict(int)
        self.scheduler_free, self.moved = 0.0, 0

    def run(self) -> Simulated:
        for key, count in self.waiting.items():
            if not count:
                self._event(0.0, 0, key)
        while self.events:
            now = self.events[0][0]
            idle = self.starved
            self.starved = []
            while self.events and self.events[0][0] == now:  # all that happens now, before anybody chooses
                _, kind, _, key = heapq.heappop(self.events)
                if kind:
                    self._end(now, key)
                else:
                    heapq.heappush(self.ready[self.home[key]], (self.rank[key], key))
                idle.append(self.home[key])
            for worker in idle:
                self._begin(now, worker)
        seconds = max((stop for _, stop in self.ran.values()), default=0.0)
        busy = {worker: spent for worker, spent in self.busy.items() if spent}
        return Simulated(seconds, busy, self.ran, self.moved, dict(self.most))

    def _event(self, time: float, kind: int, key: Key) -> None:
        heapq.heappush(self.events, (time, kind, self.rank[key][1], key))

    def _begin(self, now: float, worker: int) -> None:
        if worker in self.running or not self.ready[worker]:
            return
        if self.network.cores is not None and len(self.running) >= self.network.cores:
            if worker not in self.starved:
                self.starved.append(worker)
            return
        _, key = heapq.heappop(self.ready[worker])
        computes = self.costs[key].seconds
        spent = computes + self._overhead(key, worker)
        self.running.add(worker)
        self.busy[worker] += computes
        self.ran[key] = (now, now + spent)
        self._event(now + spent, 1, key)

    def _overhead(self, key: Key, worker: int) -> float:
        """Seconds that a task takes of a core besides its own, where there are fewer cores than workers."""
        if not self.crowded:
            return 0.0
        sent = sum(self.costs[d].size for d in self.below[key] if self.home[d] != worker)
        cores = self.network.cores or 1
        # between processes a core sends and another receives, whatever it is
        across_processes = math.isfinite(self.network.bandwidth)
        return self.network.scheduler * (cores if across_processes else 1) + 2 * sent / self.network.bandwidth

    def _end(self, now: float, key: Key) -> None:
        worker, size = self.home[key], self.costs[key].size
        self.running.discard(worker)
        self.scheduler_free = max(self.scheduler_free, now) + self.network.scheduler
        net = self.network
        near = self.scheduler_free + (net.hop if net.near is None else net.near)
        uses = Counter(self.home[above] for above in self.needed_by[key])
        self.moved += size * (len(uses) - (worker in uses))
        for holder in {worker, *uses}:
            self.copies[key, holder] = uses[holder]
            self.held[holder] += size
            self.most[holder] = max(self.most[holder], self.held[holder])
        if not uses[worker]:
            self.held[worker] -= size
        for above in self.needed_by[key]:
            far = self.home[above] != worker
            there = self.scheduler_free + net.hop + size / net.bandwidth if far else near
            self.due[above] = max(self.due[above], there)
            self.waiting[above] -= 1
            if not self.waiting[above]:
                self._event(self.due[above], 0, above)
        for dependency in self.below[key]:
            self._use(dependency, worker)

    def _use(self, key: Key, worker: int) -> None:
        self.copies[key, worker] -= 1
        if not self.copies[key, worker]:
            self.held[worker] -= self.costs[key].size
