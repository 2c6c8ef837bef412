"""Steps whose lanes do not meet: each pulls parameters from a server, and pushes its gradient to it.

Two lanes, one of them slow; `stale` with `staleness: 1`, where an arrow is a dependency between lanes:

    lane 0   grad[0]  grad[1] ┄┄┄┄┄┄┄┄┄┄> grad[2]  grad[3] ...      grad[c] waits for all grad[c - 2]
    lane 1   grad[0]──────────────┴─────> grad[1]──────────────     and so is never ahead by more than one

What bounds the staleness is the graph, so nobody ever waits within a task (Ho et al. 2013, "More effective
distributed ML via a stale synchronous parallel parameter server"); with a bound of 0 lanes compute what lanes
that meet do. `async` lanes wait for nobody (Recht et al. 2011, "Hogwild!"; Dean et al. 2012, "Large scale
distributed deep networks", sec. 4.1). The server is an actor, or one for each shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs, several
from daskpar.graph.partition import Span, shard_spans
from daskpar.graph.step import BaseBuilder, StepBuilder


@dataclass(frozen=True)
class ServedFront:
    """Where a run stands: its servers, and of the last steps the tasks of all lanes, the newest last.

    `barrier`: what the next step waits for besides.
    """

    step: int
    servers: tuple[Key, ...]
    recent: tuple[tuple[Key, ...], ...] = ()
    barrier: Key = ()

    @property
    def keys(self) -> set[Key]:
        """What the next window needs to find."""
        barrier = {self.barrier} if self.barrier else set()
        return {*self.servers, *(key for keys in self.recent for key in keys)} | barrier

    @property
    def logs(self) -> tuple[Key, ...]:
        """The states whose logs tell of the steps before."""
        return self.recent[-1]


@dataclass(frozen=True)
class ServerBuilder(BaseBuilder):
    """Adds steps to a graph, of lanes that meet at a server."""

    @cached_property
    def lanes(self) -> StepBuilder:
        """What knows which rows are a lane's."""
        return StepBuilder(self.spec, self.layout, self.model, self.chunks, self.apart)

    @cached_property
    def spans(self) -> list[Span]:
        """What each server has of the parameters."""
        (place,) = self.spec.partition.places
        return [s for s in shard_spans(place, 0, self.layout.shards) if s.start < s.stop]

    def start(self, graph: Graph, step: int, root: Path | None = None) -> ServedFront:
        """Add the servers, with the state of a step from a file or the seed."""
        ordered, path = self.layout.update == "stale", None if root is None else str(root)
        servers = []
        for k, span in enumerate(self.spans):
            how = (span, self.layout.data, self.layout.fan_in, ordered, step, path)
            lane = self.layout.place(k * self.layout.data // len(self.spans))
            key = graph.add(
                "parameter-server", (step, k), tasks.ParameterServer, Ref(self.model), *how, lane=lane
            )
            graph.actors.append(key)
            servers.append(key)
        return ServedFront(step, tuple(servers))

    def window(self, graph: Graph, front: ServedFront, rates: Sequence[float]) -> ServedFront:
        """Add a step for each learning rate in `rates`; returns where the run then stands."""
        bound = self.layout.staleness + 1 if self.layout.update == "stale" else 1
        for number, lr in enumerate(rates):
            keys = []
            for lane in range(self.layout.data):
                waited = [front.recent[-1][lane]] if front.recent else []
                if self.layout.update == "stale" and len(front.recent) == bound:
                    waited += [key for key in front.recent[0] if key not in waited]
                if front.barrier:
                    waited.append(front.barrier)
                streams, place = self.lanes.streams(lane), self.layout.place(lane)
                what = (front.step, streams, lane, lr, number == 0, tuple(self.spans))
                given = (several(front.servers), several(waited), *self.lanes.pieces(front.step, lane))
                operation, index = f"grad-{self.layout.update}", (front.step, lane)
                keys.append(
                    graph.add(operation, index, tasks.grad_pushed, Ref(self.model), *what, *given, lane=place)
                )
            recent = (*front.recent, tuple(keys))[-bound:]
            front = replace(front, step=front.step + 1, recent=recent, barrier=())
        return front

    def cut(self, graph: Graph, front: ServedFront) -> tuple[Key, ServedFront]:
        """Add what makes one state of all when every lane has come so far; later steps wait for it."""
        index, what = (front.step,), (Ref(self.model), front.step, tuple(self.spans), several(front.servers))
        lanes = refs(front.recent[-1]) if front.recent else []
        found = graph.add("snapshot", index, tasks.snapshot, *what, *lanes, lane=0)
        barrier = graph.add("after-snapshot", index, tasks.end, Ref(found), lane=0)
        return found, replace(front, barrier=barrier)
