"""Replicas that train alone and are averaged: local SGD, post-local SGD, DiLoCo.

Two replicas, averaged every two steps:

    replica 0   grad[0] ─> grad[1] ─> update ─┬─> average ─┬─> adopt ─> grad[2] ─> ...
    replica 1   grad[0] ─> grad[1] ─> update ─┘            └─> adopt ─> grad[2] ─> ...

A replica is a whole layout, with lanes, stages or whatever else; in between nothing crosses from one to
another (Stich 2019, "Local SGD converges fast and communicates little"; Lin et al. 2020, "Don't use large
mini-batches, use local SGD", for `synchronous_until`). Averaged at each step of plain SGD, replicas compute
what lanes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, Scope, refs
from daskpar.graph.reduce import add_tree
from daskpar.graph.step import BaseBuilder, Front, StepBuilder


@dataclass(frozen=True)
class Fronts:
    """Where each replica stands; `anchors`: for each holding the last average, if an optimizer needs it."""

    each: tuple[Front, ...]
    anchors: tuple[Key, ...] = ()

    @property
    def step(self) -> int:
        return self.each[0].step

    @property
    def keys(self) -> set[Key]:
        """What the next window needs to find."""
        return {key for front in self.each for key in front.keys} | set(self.anchors)

    @property
    def logs(self) -> tuple[Key, ...]:
        """The states whose logs tell of the steps before."""
        return tuple(key for front in self.each for key in front.logs)


@dataclass(frozen=True)
class AverageBuilder(BaseBuilder):
    """Adds steps of all replicas to a graph, and their averages."""

    @cached_property
    def replicas(self) -> tuple[StepBuilder, ...]:
        what = (self.spec, self.layout, self.model, self.chunks, self.apart)
        return tuple(StepBuilder(*what, replica) for replica in range(self.layout.replicas))

    def start(self, graph: Graph, step: int, root: Path | None = None) -> Fronts:
        """Add what loads the state of a step, from a file or the seed; returns where the run stands."""
        scopes = self._scopes(graph)
        parts = [f"replica-{number}" for number in range(len(scopes))]
        each = [b.start(s, step, root, p) for b, s, p in zip(self.replicas, scopes, parts, strict=True)]
        anchors: tuple[Key, ...] = ()
        if self.spec.outer is not None:
            first = self.replicas[0]
            if root is None:
                anchors = tuple(
                    graph.add("begin-outer", (step, h), tasks.begin_outer, Ref(self.model), Ref(states[0]))
                    for h, states in enumerate(each[0].states)
                )
            else:
                before = first.start(Scope(graph, "outer", 0), step, root, "outer")
                anchors = tuple(states[0] for states in before.states)
        return Fronts(tuple(each), anchors)

    def window(self, graph: Graph, fronts: Fronts, rates: Sequence[float]) -> Fronts:
        """Add a step for each learning rate in `rates`; returns where the run then stands."""
        scopes, fresh = self._scopes(graph), True
        while rates:
            apart = self.layout.steps_apart(fronts.step)
            count = len(rates) if apart is None else min(apart, len(rates))
            each = zip(self.replicas, scopes, fronts.each, strict=True)
            fronts = replace(fronts, each=tuple(b.window(s, f, rates[:count], fresh) for b, s, f in each))
            if count == apart:
                fronts = self._averaged(graph, scopes, fronts)
            rates, fresh = rates[count:], False
        return fronts

    def cut(self, graph: Graph, fronts: Fronts) -> tuple[Key, Fronts]:
        """Add what makes one state of all; returns its key."""
        each = zip(self.replicas, self._scopes(graph), fronts.each, strict=True)
        keys = [builder.cut(scope, front)[0] for builder, scope, front in each]
        if fronts.anchors:
            keys.append(self.replicas[0].whole(Scope(graph, "outer", 0), fronts.step, fronts.anchors))
        given = (len(self.replicas), *refs(keys))
        index = (fronts.step,)
        return graph.add("gather-replicas", index, tasks.gather_replicas, Ref(self.model), *given), fronts

    def _scopes(self, graph: Graph) -> list[Scope]:
        places = self.layout.lane_places
        return [Scope(graph, f"replica {r}", r * places) for r in range(self.layout.replicas)]

    def _averaged(self, graph: Graph, scopes: Sequence[Scope], fronts: Fronts) -> Fronts:
        """Every replica with the average of all for its parameters."""
        each = zip(self.replicas, scopes, fronts.each, strict=True)
        settled = [builder.settled(scope, front, False) for builder, scope, front in each]
        step, count, anchors = fronts.step, len(scopes), []
        states: list[list[tuple[Key, ...]]] = [[] for _ in scopes]
        for h, (span, lanes) in enumerate(self.replicas[0].holdings):
            at = self.replicas[0].place_of(span, lanes[0])
            places = [at + scope.shift for scope in scopes]
            keys = [front.states[h][0] for front in settled]
            tree = (graph, "add-parameters", (step, h), keys, places, self.layout.fan_in)
            last = refs(add_tree(*tree, reduce=tasks.add_parameters))
            anchor = Ref(fronts.anchors[h]) if fronts.anchors else None
            how = (Ref(self.model), span, count, self.layout.averages(step) - 1, anchor)
            found = graph.add("average", (step, h), tasks.average, *how, *last, lane=at)
            anchors.append(found)
            for r, scope in enumerate(scopes):
                owners = zip(lanes, settled[r].states[h], strict=True)
                states[r].append(
                    tuple(
                        scope.add(
                            "adopt",
                            (step, h, lane),
                            *(tasks.adopt, Ref(own), Ref(found)),
                            lane=self.replicas[r].place_of(span, lane),
                        )
                        for lane, own in owners
                    )
                )
        fronts_ = tuple(replace(f, states=tuple(s)) for f, s in zip(settled, states, strict=True))
        return Fronts(fronts_, tuple(anchors) if fronts.anchors else ())
