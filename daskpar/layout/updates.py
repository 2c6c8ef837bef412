"""The order of updates: synchronous, or by a parameter server from which lanes pull and to which they push.

Two lanes with `update: stale, staleness: 1`; lane 1 is slow:

    lane 0   [grad 0][grad 1]        [grad 2]                [grad 3]
    lane 1   [        grad 0        ][        grad 1        ][        grad 2        ]

A task pulls the parameters from the server, computes a gradient and pushes it to the server.
`grad c` of a lane depends on `grad c - 2` of all lanes, so no lane is ahead by more than one step. The bound
is an edge of the graph, and no task blocks while it runs (Ho et al. 2013, "More effective distributed ML via
a stale synchronous parallel parameter server"). With `staleness: 0` lanes compute the same as synchronous
ones. With `update: async` lanes have no edges between them (Recht et al. 2011, "Hogwild!"; Dean et al. 2012,
"Large scale distributed deep networks", section 4.1). The server is an actor, with `shards` one for each.
"""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.arguments import AllCarried, Carried, Now, Output, Together
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.fuse import GRAD
from daskpar.layout.owners import shard_spans
from daskpar.layout.plan import SNAPSHOT, Kind, Plan, Section
from daskpar.settings import setting

UPDATES = ("sync", "stale", "async")
SERVER = Kind("parameter-server", "server", ("shard",), actor=True)
PUSHED, SERVERS, BARRIER = "pushed", "servers", "barrier"
_SNAPSHOT = Kind("snapshot", "snapshot")
_AFTER = Kind("after-snapshot", "barrier")


@dataclass(frozen=True)
class Updates(Cut):
    """The order of updates: synchronous, stale-synchronous or asynchronous."""

    update: str = setting(
        "sync",
        "order of updates: sync adds the gradients of all lanes at each step, stale lets a lane be up to "
        "staleness steps ahead (stale-synchronous), async never waits (asynchronous parameter server)",
        choices=UPDATES,
    )
    staleness: int = setting(
        0, "steps that a lane may be ahead of the slowest with update: stale (staleness bound)", at_least=0
    )

    def check_fields(self) -> None:
        if self.staleness and self.update != "stale":
            raise InputError(f"layout.staleness={self.staleness} is for update: stale")

    def check(self, demands: Demands) -> None:
        if self.update != "sync" and demands.synchronised:
            raise InputError(
                f"layout.update={self.update} cannot be had with {demands.synchronised}: {{sync: true}}, "
                "which needs the statistics of all lanes at the same time; leave sync out"
            )

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        """Return the plan in which lanes push their gradients to servers instead of reducing them."""
        if self.update == "sync":
            return plan
        layout = run.layout
        (place,) = run.partition.places
        spans = tuple(s for s in shard_spans(place, 0, layout.shards) if s.start < s.stop)
        ordered = self.update == "stale"
        start = Section()
        start.results[SERVERS] = tuple(
            start.add(
                *(SERVER, "ParameterServer", (k,), layout.slot(k * layout.data // len(spans)), Now.MODEL),
                *(span, layout.data, layout.fan_in, ordered, Now.STEP, Now.FILE),
            )
            for k, span in enumerate(spans)
        )
        bound = self.staleness + 1 if ordered else 1
        servers = Together((AllCarried(SERVERS),))
        step, kind = Section(), Kind(f"grad-{self.update}", "grad", GRAD.axes)
        lanes = range(layout.data)
        for lane in lanes:
            waited: list[Carried | AllCarried] = [Carried(PUSHED, lane)]
            if ordered:
                waited += [Carried(PUSHED, n, bound) for n in lanes if bound > 1 or n != lane]
            waited.append(Carried(BARRIER))
            (grad,) = (op for op in plan.step.ops if op.kind == GRAD and op.coordinates == (lane,))
            step.add(
                *(kind, "grad_pushed", (lane,), grad.slot, Now.MODEL, Now.STEP, grad.arguments[2], lane),
                *(Now.RATE, Now.FRESH, spans, servers, Together(tuple(waited)), grad.arguments[-1]),
            )
        step.results = {PUSHED: tuple(map(Output, lanes)), BARRIER: ()}
        snapshot = Section()
        state = snapshot.add(
            *(_SNAPSHOT, "snapshot", (), 0, Now.MODEL, Now.STEP, spans, servers, AllCarried(PUSHED)),
        )
        barrier = snapshot.add(_AFTER, "barrier", (), 0, state)
        snapshot.results = {SNAPSHOT: (state,), BARRIER: (barrier,)}
        return Plan(start, step, snapshot, logs=(AllCarried(PUSHED),), back={PUSHED: bound})
