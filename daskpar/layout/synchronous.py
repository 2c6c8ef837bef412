"""The plan of synchronous training: load, forward, backward, reduce, update.

An update is part of the next step, which needs the new state:

    step t    load-batch ─> forward ─> loss ─> backward ─> reduce-gradient ┄┐
    step t+1                                                                └┄> update ─> forward ─> ...

Each lane updates its own copy of the state, from the same gradients in the same order, so only gradients are
sent between lanes. With shards, one owner updates a slice of the parameters, and lanes gather the parameters
from all owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from daskpar.layout.arguments import AllCarried, Carried, Chunks, Now, Output, Source, Streams, Together
from daskpar.layout.compression import Remainder
from daskpar.layout.described import Described
from daskpar.layout.draft import Draft
from daskpar.layout.gradients import ReducedGradients, reduce_gradients
from daskpar.layout.owners import Owned, owned, slot_of
from daskpar.layout.partition import Span
from daskpar.layout.passes import Passes
from daskpar.layout.plan import FROM_FILE, SNAPSHOT, Index, Kind, Plan, Section

LOAD = Kind("load-batch", "load", ("lane",))
LOAD_STATE = Kind("load-state", "load", steps=False)
LOAD_REMAINDER = Kind("load-remainder", "load", ("owner", "number"), steps=False)
UPDATE = Kind("update", "update", ("owner", "lane"))
_GATHER = Kind("gather-parameters", "gather", ("place", "lane"))
_NORM = Kind("measure-norm", "norm", ("owner",))
_GATHER_STATE = Kind("gather-state", "gather")
_SAVE_REMAINDERS = Kind("save-remainders", "gather", ("owner",))
PENDING = "pending"
"""The variable that exists while gradients of the last step are still to be applied."""


def state_of(owner: int) -> str:
    """Return the variable of an owner's state, one item for each track."""
    return f"state {owner}"


def gradient_of(owner: int) -> str:
    """Return the variable of the gradients that an owner has still to apply."""
    return f"gradient {owner}"


@dataclass(frozen=True)
class Synchronous:
    """The writer of the sections of synchronous training."""

    run: Described
    across_processes: bool

    @cached_property
    def owners(self) -> tuple[Owned, ...]:
        """The owners of parameters."""
        return owned(self.run.layout, self.run.partition)

    def plan(self) -> Plan:
        """Return the plan."""
        step, reduced = self._step()
        logged = len(self.owners) if self.run.norms_every else 1  # others log nothing but norms
        logs = tuple(Carried(state_of(h)) for h in range(logged))
        return Plan(self._start(reduced), step, self._snapshot(reduced), logs=logs)

    def slot(self, span: Span | None, track: int) -> int:
        """Return the slot at which a track stores parameters."""
        return slot_of(self.run.layout, self.run.partition, span, track)

    def _start(self, reduced: ReducedGradients) -> Section:
        section = Section()
        for h, (span, tracks) in enumerate(self.owners):
            if span is None:
                state = section.add(LOAD_STATE, "begin_state", (), None, Now.MODEL, Now.FILE, Now.PREFIX)
                states = (state,) * len(tracks)
            else:
                states = tuple(
                    section.add(
                        *(
                            LOAD_STATE._replace(axes=("owner", "lane")),
                            "load_place",
                            (h, track),
                            self.slot(span, track),
                        ),
                        *(Now.MODEL, span, Now.FILE, Now.PREFIX),
                    )
                    for track in tracks
                )
            section.results[state_of(h)] = states
        for h, remainders in enumerate(reduced.remainders):
            for n, remainder in enumerate(remainders):
                slot = self.slot(self.owners[h].span, self.owners[h].tracks[0])
                index = (h, n)
                section.results[remainder.variable] = (
                    section.add(
                        LOAD_REMAINDER, "load_remainder", index, slot, *remainder.load, needs=FROM_FILE
                    ),
                )
        return section

    def _step(self) -> tuple[Section, ReducedGradients]:
        section, layout = Section(), self.run.layout
        draft = Draft(section, self.run, self.across_processes)
        states = self.updates(section, Now.FRESH)
        gathered: dict[tuple[int, int], Output] = {}

        def parameters(track: int, place: int) -> Output:
            if layout.shards == 1:
                return states[place][track]
            track = track if self.across_processes else 0  # threads share the gathered parameters
            if (track, place) not in gathered:
                gathered[track, place] = self._gathered(draft, states, track, place)
            return gathered[track, place]

        batches = [
            section.add(
                *(LOAD, "load_batch", (track,), layout.slot(track)),
                *(Now.MODEL, Now.STEP, Streams(layout.lane_of(track)), Chunks(layout.lane_of(track))),
            )
            for track in range(layout.tracks)
        ]
        leaves = list(Passes(draft, batches, parameters).build())
        reduced = reduce_gradients(draft, self.owners, leaves)
        for h, gradients in enumerate(reduced.gradients):
            section.results[state_of(h)] = states[h]
            section.results[gradient_of(h)] = gradients
        if reduced.sums:
            section.results["sums"] = reduced.sums
        section.results[PENDING] = next(filter(None, reduced.gradients))[:1]
        section.results |= {r.variable: (r.value,) for kept in reduced.remainders for r in kept}
        return section, reduced

    def updates(self, section: Section, fresh: Now | bool) -> list[tuple[Output, ...]]:
        """Add the updates by the gradients of the last step, each copy on its own slot.

        Without such gradients every state stays as it is.
        """
        norms = self._norms(section, ())
        states = []
        for h, (span, tracks) in enumerate(self.owners):
            copies = []
            for n, track in enumerate(tracks):
                index = (track,) if span is None else (h, track)
                copies.append(
                    self._update(section, h, index, n, self.slot(span, track), fresh, norms, PENDING)
                )
            states.append(tuple(copies))
        return states

    def _update(
        self,
        section: Section,
        h: int,
        index: Index,
        copy: int,
        slot: int | None,
        fresh: Now | bool,
        norms: Together | None,
        needs: str,
    ) -> Output:
        span, state, gradients = self.owners[h].span, Carried(state_of(h), copy), AllCarried(gradient_of(h))
        axes = ("owner", "lane") if len(index) == 2 else ("lane",)[: len(index)]
        kind = UPDATE._replace(axes=("snapshot", "owner") if index[:1] == ("snapshot",) else axes)
        arguments: tuple[object, ...]
        if span is None:
            function, arguments = "update", (Now.MODEL, Now.LAST_RATE, fresh, state, gradients)
        else:
            function = "update_part"
            sums = Carried("sums") if len(self.owners) > 1 else ()
            arguments = (Now.MODEL, span, Now.LAST_RATE, fresh, state, sums, norms, gradients)
        return section.add(
            kind, function, index, slot, *arguments, needs=needs, instead=state if needs else None
        )

    def _norms(self, section: Section, mark: tuple[str, ...]) -> Together | None:
        """Add the norms of all parts of the gradient; None if the norm of the whole is not clipped."""
        if self.run.clip.norm is None or self.owners[0].span is None:
            return None
        norms = []
        kind = _NORM._replace(axes=(*mark, "owner"))
        for h, (span, tracks) in enumerate(self.owners):
            index: Index = (*mark, h)
            slot = self.slot(span, tracks[0])
            sources = (Carried(state_of(h)), Carried("sums"), AllCarried(gradient_of(h)))
            norms.append(
                section.add(kind, "measure_norm", index, slot, Now.MODEL, span, *sources, needs=PENDING)
            )
        return Together(tuple(norms))

    def _gathered(self, draft: Draft, states: Sequence[tuple[Output, ...]], track: int, place: int) -> Output:
        """Add the gathering of a place's parameters from all its shards."""
        shards = [states[h][0] for h, (span, _) in enumerate(self.owners) if span and span.place == place]
        if self.across_processes:  # without the optimizer's state
            shards = [draft.sent(value, "parameters") for value in shards]
        slot = self.slot(Span(place, 0, 0), track)
        return draft.section.add(_GATHER, "gather_parameters", (place, track), slot, *shards)

    def _snapshot(self, reduced: ReducedGradients) -> Section:
        """Return the section with the update that makes the state of a step a value of its own."""
        section = Section()
        norms = self._norms(section, ("snapshot",))
        states = []
        for h, (span, tracks) in enumerate(self.owners):
            index: Index = () if span is None else ("snapshot", h)
            slot = None if span is None else self.slot(span, tracks[0])
            states.append(self._update(section, h, index, 0, slot, False, norms, ""))
        if any(reduced.remainders):
            states = self._with_remainders(section, states, reduced.remainders)
        section.results[SNAPSHOT] = (self.whole(section, states),)
        return section

    def whole(self, section: Section, states: Sequence[Source], index: Index = ()) -> Source:
        """Return the state of the whole model, gathered from its owners."""
        if len(states) == 1:
            return states[0]
        spans = tuple(owner.span for owner in self.owners)
        kind = _GATHER_STATE._replace(axes=("of",)[: len(index)])
        return section.add(kind, "gather_state", index, None, Now.MODEL, spans, *states)

    def _with_remainders(
        self, section: Section, states: Sequence[Output], remainders: Sequence[Sequence[Remainder]]
    ) -> list[Output]:
        """Return the states of all owners with the remainders of rounding among their slots."""
        names = tuple(sorted({r.slot for kept in remainders for r in kept}))
        some = next(r.variable for kept in remainders for r in kept)
        saved = []
        for h, (state, kept) in enumerate(zip(states, remainders, strict=True)):
            span, tracks = self.owners[h]
            left = [Carried(r.variable) for r in kept]
            saved.append(
                section.add(
                    *(_SAVE_REMAINDERS, "save_remainders", (h,), self.slot(span, tracks[0]), Now.MODEL, span),
                    *(names, tuple(r.slot for r in kept), state, *left),
                    needs=some,
                    instead=state,
                )
            )
        return saved
