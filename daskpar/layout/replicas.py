"""Replicas that train independently and are averaged: local SGD, post-local SGD, DiLoCo.

Two replicas, averaged every two steps:

    replica 0   grad[0] ─> grad[1] ─> update ─┬─> average ─┬─> load-average ─> grad[2] ─> ...
    replica 1   grad[0] ─> grad[1] ─> update ─┘            └─> load-average ─> grad[2] ─> ...

A replica is a whole layout, with lanes, stages and other cuts. Between averages, replicas exchange nothing
(Stich 2019, "Local SGD converges fast and communicates little"). `synchronous_until` averages at each of the
first steps (Lin et al. 2020, "Don't use large mini-batches, use local SGD"). With `outer`, an optimizer
steps from one average to the next (Douillard et al. 2023, "DiLoCo"). Replicas that are averaged after each
step of plain SGD compute the same as lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.errors import InputError
from daskpar.layout.arguments import Carried, Now, Output
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.draft import Draft
from daskpar.layout.plan import FROM_FILE, FROM_SEED, SNAPSHOT, Kind, Plan, Section
from daskpar.layout.synchronous import PENDING, Synchronous, gradient_of, state_of
from daskpar.settings import setting

_BEGIN_OUTER = Kind("begin-outer", "load", ("owner",), steps=False)
_ADD = Kind("add-parameters", "reduce", ("owner",))
_AVERAGE = Kind("average", "average", ("owner",))
_LOAD_AVERAGE = Kind("load-average", "update", ("replica", "owner", "lane"))
_GATHER = Kind("gather-replicas", "gather")


@dataclass(frozen=True)
class Replicas(Cut):
    """Local SGD: copies of a whole layout, each on its own share of the batch."""

    replicas: int = setting(
        1,
        "copies of the whole layout that train independently and are averaged (local SGD, DiLoCo)",
        at_least=1,
    )
    average_every: int = setting(
        1, "steps between averages of the replicas' parameters; 0 averages only at the end", at_least=0
    )
    synchronous_until: int = setting(
        0,
        "steps at the start of training after each of which replicas are averaged (post-local SGD)",
        at_least=0,
    )
    outer: Any = setting(
        None,
        "optimizer that is applied to the averages, by name, {name: arguments} or built (outer optimizer of "
        "DiLoCo); without it the average is taken as it is",
    )

    def check_fields(self) -> None:
        averages = (self.average_every, self.synchronous_until) != (1, 0) or self.outer is not None
        if self.replicas == 1 and averages:
            raise InputError("layout.average_every, synchronous_until and outer are for several replicas")

    def check(self, demands: Demands) -> None:
        if demands.outer is not None and not demands.outer.elementwise:
            raise InputError(
                f"layout.outer: {demands.outer.kind} needs whole tensors; use sgd, adam or the like"
            )

    def averages(self, step: int) -> int:
        """Return the number of averages in the first `step` steps."""
        later = max(0, step - self.synchronous_until)
        return min(step, self.synchronous_until) + (later // self.average_every if self.average_every else 0)

    def steps_until_average(self, step: int) -> int | None:
        """Return the number of steps from `step` to the next average; None if there is none."""
        if self.replicas == 1:
            return None
        if step < self.synchronous_until:
            return 1
        if self.average_every == 0:
            return None
        return self.average_every - (step - self.synchronous_until) % self.average_every

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        """Return the plan once for each replica, with averages between steps."""
        if self.replicas == 1:
            return plan
        writer = Synchronous(run, across_processes)
        start, step, snapshot = Section(), Section(), Section()
        for replica in range(self.replicas):
            for whole, one in ((start, plan.start), (step, plan.step), (snapshot, plan.snapshot)):
                whole.include(self._scoped(one, run, replica))
        average = self._average(writer, run, across_processes)
        last: list[Output | Carried] = [
            snapshot.results[f"{_scope(r)} {SNAPSHOT}"][0] for r in range(self.replicas)
        ]
        if run.outer is not None:
            self._begin_outer(start, plan.start, writer, run)
            anchors = [Carried(_anchor(h)) for h in range(len(writer.owners))]
            last.append(writer.whole(snapshot, anchors, ("outer",)))
        gathered = snapshot.add(_GATHER, "gather_replicas", (), None, Now.MODEL, self.replicas, *last)
        snapshot.results = {SNAPSHOT: (gathered,)}
        logs = tuple(
            log._replace(variable=f"{_scope(r)} {log.variable}")
            for r in range(self.replicas)
            for log in plan.logs
        )
        return Plan(start, step, snapshot, logs, average, whole_windows=plan.whole_windows)

    def _scoped(self, section: Section, run: Described, replica: int) -> Section:
        layout = run.layout
        shift = replica * layout.lane_slots
        lanes, tracks = replica * layout.data, replica * layout.tracks
        return section.scoped(_scope(replica), f"replica-{replica}", shift, lanes, tracks)

    def _begin_outer(self, start: Section, one: Section, writer: Synchronous, run: Described) -> None:
        """Add the beginning of the outer optimizer: from the file, or from the parameters before step 1."""
        for h in range(len(writer.owners)):
            (state,) = one.results[state_of(h)][:1]
            assert isinstance(state, Output)
            op = one.ops[state.number]
            arguments = tuple("outer" if argument is Now.PREFIX else argument for argument in op.arguments)
            kind = op.kind._replace(axes=("replica", *op.kind.axes))
            saved = start.add(
                kind, op.function, ("outer", *op.coordinates), op.slot, *arguments, needs=FROM_FILE
            )
            first = start.results[f"{_scope(0)} {state_of(h)}"][0]
            begun = start.add(
                *(_BEGIN_OUTER, "begin_outer", (h,), None, Now.MODEL, first), needs=FROM_SEED, instead=saved
            )
            start.results[_anchor(h)] = (begun,)

    def _average(self, writer: Synchronous, run: Described, across_processes: bool) -> Section:
        """Return the section that gives every replica the average of all parameters."""
        section = Section()
        updated: list[list[tuple[Output, ...]]] = []
        for replica in range(self.replicas):
            alone = Section()
            states = writer.updates(alone, False)
            shift = section.include(self._scoped(alone, run, replica))
            updated.append([tuple(Output(o.number + shift) for o in copies) for copies in states])
        draft = Draft(section, run, across_processes)
        for h, (span, tracks) in enumerate(writer.owners):
            slot = writer.slot(span, tracks[0])
            total = draft.tree(_ADD, "add_parameters", (h,), [states[h][0] for states in updated])
            anchor = Carried(_anchor(h)) if run.outer is not None else None
            mean = section.add(
                *(_AVERAGE, "average", (h,), slot),
                *(Now.MODEL, span, self.replicas, Now.ROUNDS, anchor, *total),
            )
            if run.outer is not None:
                section.results[_anchor(h)] = (mean,)
            function: str = "load_average"
            first: tuple[object, ...] = ()
            if run.table.frozen:
                function, first = "load_trained_average", (Now.MODEL, span)
            for replica, states in enumerate(updated):
                shift = replica * run.layout.lane_slots
                section.results[f"{_scope(replica)} {state_of(h)}"] = tuple(
                    section.add(
                        _LOAD_AVERAGE,
                        function,
                        (_scope(replica), h, track),
                        writer.slot(span, track) + shift,
                        *first,
                        state,
                        mean,
                    )
                    for track, state in zip(tracks, states[h], strict=True)
                )
                section.results[f"{_scope(replica)} {gradient_of(h)}"] = ()
        for replica in range(self.replicas):
            section.results |= {f"{_scope(replica)} {name}": () for name in (PENDING, "sums")}
        return section


def _scope(replica: int) -> str:
    return f"replica {replica}"


def _anchor(owner: int) -> str:
    """Return the variable of the last average, from which the outer optimizer steps."""
    return f"anchor {owner}"
