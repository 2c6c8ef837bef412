"""The plan of a run whose lanes meet at each step: load, forward, backward, reduce, update.

An update waits until the next step has need of the new state, so each lane does it for itself, from the same
gradients in the same order, and nothing but gradients crosses between lanes. With shards a slice of the
parameters has one owner, who alone updates it, and the lanes gather parameters from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from daskpar.layout.compression import Remainder
from daskpar.layout.described import Described
from daskpar.layout.draft import Draft
from daskpar.layout.gradients import ReducedGradients, reduce_gradients
from daskpar.layout.owners import Owned, owned, slot_of
from daskpar.layout.partition import Span
from daskpar.layout.passes import Passes
from daskpar.layout.plan import (
    FROM_FILE,
    LOOK,
    AllCarried,
    Carried,
    Chunks,
    Index,
    Kind,
    Now,
    Output,
    Plan,
    Section,
    Source,
    Streams,
    Together,
)

LOAD = Kind("load-batch", "load", ("lane",))
LOAD_STATE = Kind("load-state", "load", steps=False)
LOAD_RESIDUAL = Kind("load-residual", "load", ("owner", "number"), steps=False)
UPDATE = Kind("update", "update", ("owner", "lane"))
_GATHER = Kind("gather-parameters", "gather", ("place", "lane"))
_NORM = Kind("measure-norm", "norm", ("owner",))
_GATHER_STATE = Kind("gather-state", "gather")
_SAVE_RESIDUALS = Kind("save-residuals", "gather", ("owner",))
PENDING = "pending"
"""A variable that is there while gradients of the last step wait to be applied."""


def state_of(owner: int) -> str:
    """The variable of an owner's state, an item a track."""
    return f"state {owner}"


def gradient_of(owner: int) -> str:
    """The variable of the gradients that an owner has yet to apply."""
    return f"gradient {owner}"


@dataclass(frozen=True)
class Synchronous:
    """Writes the sections of such a run."""

    run: Described
    across_processes: bool

    @cached_property
    def owners(self) -> tuple[Owned, ...]:
        return owned(self.run.layout, self.run.partition)

    def plan(self) -> Plan:
        step, reduced = self._step()
        return Plan(self._start(reduced), step, self._look(reduced), logs=(Carried(state_of(0)),))

    def slot(self, span: Span | None, track: int) -> int:
        return slot_of(self.run.layout, self.run.partition, span, track)

    def _start(self, reduced: ReducedGradients) -> Section:
        section = Section()
        for h, (span, tracks) in enumerate(self.owners):
            if span is None:
                state = section.add(LOAD_STATE, "begin_state", (), None, Now.MODEL, Now.FILE, Now.PART)
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
                        *(Now.MODEL, span, Now.FILE, Now.PART),
                    )
                    for track in tracks
                )
            section.results[state_of(h)] = states
        for h, residuals in enumerate(reduced.residuals):
            for n, residual in enumerate(residuals):
                slot = self.slot(self.owners[h].span, self.owners[h].tracks[0])
                index = (h, n)
                section.results[residual.variable] = (
                    section.add(LOAD_RESIDUAL, "load_residual", index, slot, *residual.load, needs=FROM_FILE),
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
            track = track if self.across_processes else 0  # threads share what one of them has gathered
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
        section.results |= {r.variable: (r.value,) for kept in reduced.residuals for r in kept}
        return section, reduced

    def updates(self, section: Section, fresh: Now | bool) -> list[tuple[Output, ...]]:
        """Add the updates by the gradients of the last step, each copy on its own slot.

        Where there are none every state stays as it is.
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
        kind = UPDATE._replace(axes=("look", "owner") if index[:1] == ("look",) else axes)
        given: tuple[object, ...]
        if span is None:
            function, given = "update", (Now.MODEL, Now.LAST_RATE, fresh, state, gradients)
        else:
            function = "update_part"
            sums = Carried("sums") if len(self.owners) > 1 else ()
            given = (Now.MODEL, span, Now.LAST_RATE, fresh, state, sums, norms, gradients)
        return section.add(kind, function, index, slot, *given, needs=needs, instead=state if needs else None)

    def _norms(self, section: Section, mark: tuple[str, ...]) -> Together | None:
        """The norms of all parts of the gradient, where that of the whole is clipped."""
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
        """A place's parameters from all its shards."""
        shards = [states[h][0] for h, (span, _) in enumerate(self.owners) if span and span.place == place]
        if self.across_processes:  # without their slots
            shards = [draft.sent(value, "parameters") for value in shards]
        slot = self.slot(Span(place, 0, 0), track)
        return draft.section.add(_GATHER, "gather_parameters", (place, track), slot, *shards)

    def _look(self, reduced: ReducedGradients) -> Section:
        """The update that makes the state of a step a value of its own, of the whole model."""
        section = Section()
        norms = self._norms(section, ("look",))
        states = []
        for h, (span, tracks) in enumerate(self.owners):
            index: Index = () if span is None else ("look", h)
            slot = None if span is None else self.slot(span, tracks[0])
            states.append(self._update(section, h, index, 0, slot, False, norms, ""))
        if any(reduced.residuals):
            states = self._with_residuals(section, states, reduced.residuals)
        section.results[LOOK] = (self.whole(section, states),)
        return section

    def whole(self, section: Section, states: Sequence[Source], index: Index = ()) -> Source:
        """The state of the whole model, from what each owner has."""
        if len(states) == 1:
            return states[0]
        spans = tuple(owner.span for owner in self.owners)
        kind = _GATHER_STATE._replace(axes=("of",)[: len(index)])
        return section.add(kind, "gather_state", index, None, Now.MODEL, spans, *states)

    def _with_residuals(
        self, section: Section, states: Sequence[Output], residuals: Sequence[Sequence[Remainder]]
    ) -> list[Output]:
        """The states of all owners, with what rounding has left out among their slots."""
        names = tuple(sorted({r.slot for kept in residuals for r in kept}))
        some = next(r.variable for kept in residuals for r in kept)
        saved = []
        for h, (state, kept) in enumerate(zip(states, residuals, strict=True)):
            span, tracks = self.owners[h]
            left = [Carried(r.variable) for r in kept]
            saved.append(
                section.add(
                    *(_SAVE_RESIDUALS, "save_residuals", (h,), self.slot(span, tracks[0]), Now.MODEL, span),
                    *(names, tuple(r.slot for r in kept), state, *left),
                    needs=some,
                    instead=state,
                )
            )
        return saved
