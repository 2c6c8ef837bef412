"""The simulation of a graph on a number of workers, event by event."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from daskpar.graph.graph import Graph, Key


class Cost(NamedTuple):
    """The cost of a task: its seconds, and the bytes of its value."""

    seconds: float = 0.0
    size: int = 0


class Network(NamedTuple):
    """The costs of the network and of the scheduler.

    Args:
        hop: Seconds from the end of a task to the start of a dependent one on another worker. Default: 0.
        near: The same on one worker. Default: None, the same as `hop`.
        scheduler: Seconds that the scheduler is busy with each task, one after the other. Default: 0.
        bandwidth: Bytes per second between two workers, whose connections are independent. Default: infinite.
        cores: Number of tasks that can run at once on all workers of one machine. With more workers than
            cores, sending and scheduling use time of these cores, too. Default: None, no limit.
    """

    hop: float = 0.0
    near: float | None = None
    scheduler: float = 0.0
    bandwidth: float = math.inf
    cores: int | None = None


class Simulated(NamedTuple):
    """The result of a simulation.

    `seconds` is the time from first to last, `busy` the seconds that each worker computed, `ran` the (start,
    stop) of each task, `moved` the bytes that were sent between workers, `memory` the largest number of bytes
    on each worker.
    """

    seconds: float
    busy: dict[int, float]
    ran: dict[Key, tuple[float, float]]
    moved: int
    memory: dict[int, int]

    @property
    def idle(self) -> float:
        """The share of the time in which workers are idle (0 to 1); workers without tasks do not count."""
        return 1 - sum(self.busy.values()) / (len(self.busy) * self.seconds)


def simulate(
    graph: Graph, cost: Callable[[Key], Cost], workers: int, slots: int, network: Network | None = None
) -> Simulated:
    """Simulate a graph. Every task runs as soon as its inputs are there and its worker is free.

    Args:
        graph: The graph.
        cost: Function that returns the cost of a task.
        workers: Number of workers.
        slots: Number of slots, which are spread over the workers as in training. Tasks without a slot run on
            the first worker.
        network: Costs of the network. Default: no costs.
    """
    return _Play(graph, cost, workers, slots, network or Network()).run()


class _Play:
    """The state of a simulation. Its events, in order of time: a task is ready, or a task has ended."""

    def __init__(self, graph: Graph, cost: Callable[[Key], Cost], workers: int, slots: int, network: Network):
        self.tasks, self.network = graph.flat(), network
        self.crowded = network.cores is not None and workers > network.cores
        self.costs = {key: cost(key) for key in self.tasks}
        self.home = {key: graph.slots.get(key, 0) * workers // slots for key in self.tasks}
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
        self.starved: list[int] = []  # workers that wait for a core
        self.busy: dict[int, float] = defaultdict(float)
        self.ran: dict[Key, tuple[float, float]] = {}
        self.events: list[tuple[float, int, int, Key]] = []  # time, 0: ready or 1: ended, number, task
        self.copies: dict[tuple[Key, int], int] = {}  # future uses of a value on a worker
        self.held: dict[int, int] = defaultdict(int)
        self.most: dict[int, int] = defaultdict(int)
        self.scheduler_free, self.moved = 0.0, 0

    def run(self) -> Simulated:
        """Run all tasks."""
        for key, count in self.waiting.items():
            if not count:
                self._event(0.0, 0, key)
        while self.events:
            now = self.events[0][0]
            idle = self.starved
            self.starved = []
            while self.events and self.events[0][0] == now:  # all events of this time, before workers choose
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
        """Return the seconds of a core that sending and scheduling use, with fewer cores than workers."""
        if not self.crowded:
            return 0.0
        sent = sum(self.costs[d].size for d in self.below[key] if self.home[d] != worker)
        cores = self.network.cores or 1
        # between processes, one core sends and another receives
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
