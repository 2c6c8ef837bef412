"""Training steps as tasks.

Two lanes at `grain: step`, fan-in 4. Each `grad` takes in the gradients of the step before, updates for
itself, and differentiates its own rows: one hop a step, and nothing but gradients crosses between lanes.

    load-state ──┬─> grad[0, lane 0] ──┬─> grad[1, lane 0] ──┬─> ...
                 │                     ╳                     ╳
                 └─> grad[0, lane 1] ──┴─> grad[1, lane 1] ──┴─> ... ──> update[s] ──> report, evaluate

Where lanes are separate processes a lane's state and its gradient are separate tasks (`update`, then
`grad`), so that states never travel: two hops, half the bytes. Where the model is cut too, `flow.py` adds a
lane's passes through its parts; every place of work holds, and updates, the parameters of its own parts.
With shards each of these is cut once more: a shard has one owner, who alone updates it, and the lanes
gather parameters from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs, several
from daskpar.graph.flow import Flow, Leaf
from daskpar.graph.gradients import Holding, Trees
from daskpar.graph.handing import sent
from daskpar.graph.layout import Layout
from daskpar.graph.partition import Span, shard_spans
from daskpar.graph.reduce import add_tree
from daskpar.graph.spec import Spec
from daskpar.graph.wire import Residual


@dataclass(frozen=True)
class Front:
    """Where a run stands between two steps.

    `states` holds for each holding the keys of its copies; `gradients` for each the keys of the last step's
    gradients that no state has taken in yet (none after a load), `sums` that of the sums of loss and metrics
    where gradients do not carry them, and `lr` the rate they are to be applied with. `residuals`: for each
    holding what rounding for the wire has left out so far; before the first step it may be in a `file`, at
    (path, part).
    """

    step: int
    states: tuple[tuple[Key, ...], ...]
    gradients: tuple[tuple[Key, ...], ...] = ()
    sums: Key = ()
    lr: float = 0.0
    residuals: tuple[tuple[Residual, ...], ...] = ()
    file: tuple[str, str] | None = None

    @property
    def keys(self) -> set[Key]:
        """What the next window needs to find."""
        found = {key for keys in (*self.states, *self.gradients) for key in keys}
        found |= {residual.key for residuals in self.residuals for residual in residuals}
        return found | {self.sums} if self.sums else found

    @property
    def logs(self) -> tuple[Key, ...]:
        """The states whose logs tell of the steps before."""
        return (self.states[0][0],)


@dataclass(frozen=True)
class BaseBuilder:
    """What adds steps to a graph has.

    `model` is the key of the Spec's task, `chunks` the keys of the training data by (stream, chunk), and
    `apart` says whether workers are processes: then states and gradients are separate tasks, and of what a
    task gives only what is needed elsewhere travels.
    """

    spec: Spec
    layout: Layout
    model: Key
    chunks: dict[Any, Key]
    apart: bool = False


@dataclass(frozen=True)
class StepBuilder(BaseBuilder):
    """Adds steps to a graph, of lanes that meet at each of them; `replica` counts those that do not."""

    replica: int = 0

    def start(self, graph: Graph, step: int, root: Path | None = None, part: str = "") -> Front:
        """Add what loads the state of a step, from a file or the seed; returns where the run stands.

        `part`: of a file with more than one state, the name of the one meant.
        """
        path = None if root is None else str(root)
        states = []
        for number, (span, lanes) in enumerate(self.holdings):
            if span is None:
                how = (tasks.load_initial,) if path is None else (tasks.load_state,)
                given = (Ref(self.model), *(() if path is None else (path, part)))
                states.append((graph.add("load-state", (step,), *how, *given),) * len(lanes))
            else:
                states.append(
                    tuple(
                        graph.add(
                            "load-state",
                            (step, number, lane),
                            *(tasks.load_place, Ref(self.model), span, path, part),
                            lane=self.place_of(span, lane),
                        )
                        for lane in lanes
                    )
                )
        return Front(step, tuple(states), file=None if path is None else (path, part))

    def window(self, graph: Graph, front: Front, rates: Sequence[float], fresh: bool = True) -> Front:
        """Add a step for each learning rate in `rates`; returns where the run then stands.

        `fresh`: whether the log of steps begins anew.
        """
        if self.layout.grain == "window":
            return self._many_steps(graph, front, rates, fresh)
        for lr in rates:
            if self._rides:
                front = self._riding_step(graph, front, lr, fresh)
            else:
                front = self.settled(graph, front, fresh)
                leaves = list(self._lane_step(graph, front) if self._whole else self._flow(graph, front))
                met = self._trees.add(graph, front.step, leaves, any(front.residuals), front.file)
                front = replace(front, step=front.step + 1, lr=lr, file=None, **met._asdict())
            fresh = False
        return front

    def cut(self, graph: Graph, front: Front) -> tuple[Key, Front]:
        """Add the update that makes the state of `front` a value of its own; returns its key."""
        if self.holdings[0].span is None:
            owners = [self._update(graph, front, 0, (front.step,), front.states[0][0], False, None)]
        else:
            owners = [
                self._update(
                    graph, front, h, (front.step, "cut", h), front.states[h][0], False, holding.lanes[0]
                )
                for h, holding in enumerate(self.holdings)
            ]
        if any(front.residuals):
            owners = self._with_residuals(graph, front, owners)
        return self.whole(graph, front.step, owners), front

    def _with_residuals(self, graph: Graph, front: Front, owners: Sequence[Key]) -> list[Key]:
        """The states of all holdings, with what rounding for the wire has left out among their slots."""
        names = tuple(sorted({residual.slot for own in front.residuals for residual in own}))
        found = []
        for h, (owner, own) in enumerate(zip(owners, front.residuals, strict=True)):
            span, lanes = self.holdings[h]
            given = (Ref(self.model), span, names, tuple(residual.slot for residual in own), Ref(owner))
            kept, place = refs(residual.key for residual in own), self.place_of(span, lanes[0])
            index = (front.step, h)
            found.append(graph.add("save-residuals", index, tasks.save_residuals, *given, *kept, lane=place))
        return found

    def whole(self, graph: Graph, step: int, owners: Sequence[Key]) -> Key:
        """The key of the state of the whole model, of which `owners` hold what each holding has."""
        if len(owners) == 1:
            return owners[0]
        spans = tuple(holding.span for holding in self.holdings)
        given = (Ref(self.model), spans, *refs(owners))
        return graph.add("gather-state", (step,), tasks.gather_state, *given)

    @cached_property
    def holdings(self) -> tuple[Holding, ...]:
        """Who holds which parameters: every lane a copy of each place's, or one lane each shard."""
        cut, layout = self.spec.partition, self.layout
        lanes = tuple(range(layout.data))
        if len(cut.places) == 1 and layout.shards == 1:
            return (Holding(None, lanes),)
        if layout.shards == 1:
            return tuple(Holding(Span(n, 0, p.table.size), lanes) for n, p in enumerate(cut.places))
        return tuple(
            Holding(span, (j * layout.data // layout.shards,))
            for number, place in enumerate(cut.places)
            for j, span in enumerate(shard_spans(place, number, layout.shards))
        )

    @cached_property
    def _whole(self) -> bool:
        """Whether a lane's pass through the model is one task."""
        return (
            self.layout.grain == "step" and not self.layout.cuts_model and len(self.spec.partition.parts) == 1
        )

    @cached_property
    def _rides(self) -> bool:
        """Whether the update is part of the task that needs the new state."""
        return self._whole and not self.apart and self.holdings[0].span is None and not self.layout.rounds

    @cached_property
    def _trees(self) -> Trees:
        return Trees(self.spec, self.layout, self.model, self.holdings, self._whole, self.apart)

    def place_of(self, span: Span | None, lane: int) -> int:
        if span is None:
            return self.layout.place(lane)
        place = self.spec.partition.places[span.place]
        return self.layout.place(lane, place.stage, place.branch)

    def streams(self, lane: int) -> range:
        return self._streams[lane]

    @cached_property
    def _streams(self) -> list[range]:
        first = self.replica * self.layout.data
        return [self.layout.streams(first + n, self.spec.order.streams) for n in range(self.layout.data)]

    def pieces(self, step: int, lane: int) -> list[Any]:
        """References to the chunks that a lane draws from in a step."""
        epoch, within = divmod(step, self.spec.order.steps)
        pieces = self.spec.order.pieces(epoch, within, self.streams(lane))
        return [self._refs[stream, chunk] for stream, chunk, _, _ in pieces]

    @cached_property
    def _refs(self) -> dict[Any, Ref]:
        return {place: Ref(key) for place, key in self.chunks.items()}

    def _riding_step(self, graph: Graph, front: Front, lr: float, fresh: bool) -> Front:
        keys = []
        gradients = front.gradients[0] if front.gradients else ()
        for lane in range(self.layout.data):
            arguments = (front.step, self.streams(lane), front.lr, fresh, Ref(front.states[0][lane]))
            values = (len(gradients), *refs(gradients), *self.pieces(front.step, lane))
            place = self.layout.place(lane)
            keys.append(
                graph.add(
                    "grad", (front.step, lane), tasks.grad, Ref(self.model), *arguments, *values, lane=place
                )
            )
        places = [self.layout.place(lane) for lane in range(self.layout.data)]
        tree = (graph, "reduce-gradient", (front.step,), keys, places, self.layout.fan_in)
        found = add_tree(*tree)
        return Front(front.step + 1, (tuple(keys),), (found,), (), lr)

    def _lane_step(self, graph: Graph, front: Front) -> list[Leaf]:
        leaves = []
        for lane in range(self.layout.data):
            state = self._parameters(graph, front, lane, 0)
            arguments = (Ref(self.model), front.step, self.streams(lane), Ref(state))
            chunks = self.pieces(front.step, lane)
            place = self.layout.place(lane)
            key = graph.add("grad", (front.step, lane), tasks.grad_model, *arguments, *chunks, lane=place)
            leaves.append(Leaf(0, 0, 0, lane, key))
        return leaves

    def _flow(self, graph: Graph, front: Front) -> list[Leaf]:
        batches = []
        for lane in range(self.layout.data):
            loaded = (Ref(self.model), front.step, self.streams(lane), *self.pieces(front.step, lane))
            place = self.layout.place(lane)
            batches.append(graph.add("load-batch", (front.step, lane), tasks.load_batch, *loaded, lane=place))
        found: dict[tuple[int, int], Key] = {}

        def parameters(lane: int, place: int) -> Key:
            if (lane, place) not in found:
                found[lane, place] = self._parameters(graph, front, lane, place)
            return found[lane, place]

        what = (graph, self.spec, self.layout, self.model, front.step, self.streams)
        return list(Flow(*what, batches, parameters, self.apart).build())

    def _parameters(self, graph: Graph, front: Front, lane: int, place: int) -> Key:
        """The key of a place's parameters for a lane; gathered where they are sharded."""
        if self.layout.shards == 1:
            return front.states[place][lane]
        held = [h for h, (span, _) in enumerate(self.holdings) if span and span.place == place]
        shards = [front.states[h][0] for h in held]
        if self.apart:  # without their slots
            homes = [self.place_of(self.holdings[h].span, self.holdings[h].lanes[0]) for h in held]
            shards = [sent(graph, key, "parameters", at) for key, at in zip(shards, homes, strict=True)]
        if not self.apart:
            lane = 0  # threads share what one of them has gathered
        index = (front.step, place, lane)
        key = graph.key("gather-parameters", *index)
        if key not in graph.lanes:
            at = self.place_of(Span(place, 0, 0), lane)
            graph.add("gather-parameters", index, tasks.gather_parameters, *refs(shards), lane=at)
        return key

    def settled(self, graph: Graph, front: Front, fresh: bool) -> Front:
        """Every state with the pending gradients taken in, each copy on its own worker."""
        if not front.gradients:
            return front
        states = []
        single = len(self.holdings) == 1
        for h, (_, lanes) in enumerate(self.holdings):
            keys = []
            for lane, state in zip(lanes, front.states[h], strict=True):
                index = (front.step, lane) if single else (front.step, h, lane)
                keys.append(self._update(graph, front, h, index, state, fresh, lane))
            states.append(tuple(keys))
        return replace(front, states=tuple(states), gradients=(), sums=())

    def _update(
        self, graph: Graph, front: Front, h: int, index: Key, state: Key, fresh: bool, lane: int | None
    ) -> Key:
        span = self.holdings[h].span
        gradients = front.gradients[h] if front.gradients else ()
        place = None if lane is None else self.place_of(span, lane)
        if span is None:
            given: Any = (front.lr, fresh, Ref(state), *refs(gradients))
            return graph.add("update", index, tasks.update, Ref(self.model), *given, lane=place)
        sums = Ref(front.sums) if front.sums else ()
        norms = self._norms(graph, front, ("cut",) if "cut" in index else ()) if gradients else None
        given = (span, front.lr, fresh, Ref(state), sums, norms, *refs(gradients))
        return graph.add("update", index, tasks.update_part, Ref(self.model), *given, lane=place)

    def _norms(self, graph: Graph, front: Front, mark: tuple[Any, ...]) -> Any:
        """The norms of all parts of the gradient, where that of the whole is clipped."""
        if self.spec.clip.norm is None:
            return None
        found = []
        for h, (span, lanes) in enumerate(self.holdings):
            index = (front.step, *mark, h)
            key = graph.key("measure-norm", *index)
            if key not in graph.lanes:
                given = (Ref(self.model), span, Ref(front.states[h][0]), Ref(front.sums))
                place = self.place_of(span, lanes[0])
                graph.add(
                    "measure-norm", index, tasks.measure_norm, *given, *refs(front.gradients[h]), lane=place
                )
            found.append(key)
        return several(found)

    def _many_steps(self, graph: Graph, front: Front, rates: Sequence[float], fresh: bool) -> Front:
        lanes, steps = tuple(self.streams(lane) for lane in range(self.layout.data)), self.spec.order.steps
        streams = range(lanes[0].start, lanes[-1].stop)
        places: dict[tuple[int, int], None] = {}
        for step in range(front.step, front.step + len(rates)):
            for piece in self.spec.order.pieces(step // steps, step % steps, streams):
                places[piece.stream, piece.chunk] = None
        how = (tuple(rates), lanes, self.layout.fan_in, fresh, tuple(places))
        arguments = (Ref(self.model), *how, Ref(front.states[0][0]))
        chunks = refs(self.chunks[place] for place in places)
        key = graph.add("train-window", (front.step,), tasks.train_window, *arguments, *chunks, lane=0)
        return Front(front.step + len(rates), ((key,) * self.layout.data,))
