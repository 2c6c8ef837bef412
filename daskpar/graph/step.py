"""Training steps as tasks.

Two lanes at `grain: step`, fan-in 4. Each `grad` takes in the gradients of the step before, updates for
itself, and differentiates its own rows: one hop a step, and nothing but gradients crosses between lanes.

    load-state ──┬─> grad[0, lane 0] ──┬─> grad[1, lane 0] ──┬─> ...
                 │                     ╳                     ╳
                 └─> grad[0, lane 1] ──┴─> grad[1, lane 1] ──┴─> ... ──> update[s] ──> report, evaluate

Where lanes are separate processes a lane's state and its gradient are separate tasks (`update`, then
`grad`), so that states never travel: two hops, half the bytes. At the finer grains a lane's `grad` comes
apart into `load-batch`, `forward-…`, `backward-…`, each part of the model with a reduction tree of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs
from daskpar.graph.layout import Layout
from daskpar.graph.spec import Spec
from daskpar.graph.tree import levels
from daskpar.nn.program import boundaries, differentiated, extent, shares_at


@dataclass(frozen=True)
class Front:
    """Where a run stands between two steps.

    `states` holds a key for each lane; `gradients` the keys of the last step's gradients that no state has
    taken in yet (none after a load), and `lr` the rate they are to be applied with.
    """

    step: int
    states: tuple[Key, ...]
    gradients: tuple[Key, ...] = ()
    lr: float = 0.0

    @property
    def keys(self) -> set[Key]:
        """What the next window needs to find."""
        return {*self.states, *self.gradients}


class Part(NamedTuple):
    """Operations `first` to `stop` of the model as one task, and how many numbers of gradient they have."""

    name: str
    first: int
    stop: int
    size: int


@dataclass(frozen=True)
class StepBuilder:
    """Adds steps to a graph.

    `model` is the key of the Spec's task, `chunks` the keys of the training data by (stream, chunk), and
    `split_update` says whether states and gradients are separate tasks (worth it between processes).
    """

    spec: Spec
    layout: Layout
    model: Key
    chunks: dict[Any, Key]
    split_update: bool = False

    def window(self, graph: Graph, front: Front, rates: Sequence[float]) -> Front:
        """Add a step for each learning rate in `rates`; returns where the run then stands."""
        if self.layout.grain == "window":
            return self._many_steps(graph, front, rates)
        whole = self.layout.grain == "step" and not self.shares
        fresh = True
        for lr in rates:
            if whole and not self.split_update:
                front = self._riding_step(graph, front, lr, fresh)
            else:
                front = self._updated(graph, front, fresh)
                add = self._lane_step if whole else self._layer_step
                front = Front(front.step + 1, front.states, add(graph, front), lr)
            fresh = False
        return front

    def cut(self, graph: Graph, front: Front) -> Key:
        """Add the update that makes the state of `front` a value of its own; returns its key."""
        return self._update(graph, front, (front.step,), front.states[0], fresh=False, lane=None)

    @cached_property
    def shares(self) -> bool:
        """Whether lanes must meet within a step, for layers whose statistics are those of the whole batch."""
        apart = self.layout.data > 1 or self.layout.grain in ("stage", "layer")
        return apart and any(operation.shares for operation in self.spec.program)

    def streams(self, lane: int) -> range:
        return self.layout.streams(lane, self.spec.order.streams)

    def pieces(self, step: int, lane: int) -> list[Any]:
        """References to the chunks that a lane draws from in a step."""
        epoch, within = divmod(step, self.spec.order.steps)
        return [
            Ref(self.chunks[p.stream, p.chunk])
            for p in self.spec.order.pieces(epoch, within, self.streams(lane))
        ]

    def _riding_step(self, graph: Graph, front: Front, lr: float, fresh: bool) -> Front:
        keys = []
        for lane in range(self.layout.data):
            arguments = (front.step, self.streams(lane), front.lr, fresh, Ref(front.states[lane]))
            values = (*refs(front.gradients), *self.pieces(front.step, lane))
            index = (front.step, lane)
            count = len(front.gradients)
            keys.append(
                graph.add("grad", index, tasks.grad, Ref(self.model), *arguments, count, *values, lane=lane)
            )
        gradients = self._tree(graph, "reduce-gradient", (front.step,), keys)
        return Front(front.step + 1, tuple(keys), gradients, lr)

    def _lane_step(self, graph: Graph, front: Front) -> tuple[Key, ...]:
        keys = []
        for lane in range(self.layout.data):
            arguments = (Ref(self.model), front.step, self.streams(lane), Ref(front.states[lane]))
            chunks = self.pieces(front.step, lane)
            keys.append(
                graph.add("grad", (front.step, lane), tasks.grad_model, *arguments, *chunks, lane=lane)
            )
        return self._tree(graph, "reduce-gradient", (front.step,), keys)

    def _layer_step(self, graph: Graph, front: Front) -> tuple[Key, ...]:
        parts, lanes = self._parts, range(self.layout.data)
        step = front.step
        forward = [[self._load_batch(graph, step, lane) for lane in lanes]]
        for i in range(len(parts)):
            shared = self._shared(graph, (step, "forward", i), forward[-1], parts[i].first)
            forward.append(
                [
                    self._part(
                        graph, "forward", i, front, lane, tasks.forward_part, forward[-1][lane], *shared
                    )
                    for lane in lanes
                ]
            )
        backward = [self._measure(graph, front, lane, forward[0][lane], forward[-1][lane]) for lane in lanes]
        gradients: list[tuple[Key, ...]] = []
        for i in reversed(range(len(parts))):
            shared = self._shared(graph, (step, "backward", i), backward, parts[i].stop)
            above = backward
            backward = []
            for lane in lanes:
                inputs = [forward[i + 1][lane], above[lane]]
                inputs += [forward[i + 2][lane], *shared] if shared else []
                backward.append(self._part(graph, "backward", i, front, lane, tasks.backward_part, *inputs))
            if parts[i].size or i == len(parts) - 1:
                gradients.append(self._tree(graph, "reduce-gradient", (step, i), backward, root=True))
        return tuple(key for keys in reversed(gradients) for key in keys)

    def _part(
        self, graph: Graph, verb: str, i: int, front: Front, lane: int, func: Callable[..., Any], *inputs: Key
    ) -> Key:
        part = self._parts[i]
        arguments = ((part.first, part.stop), front.step, self.streams(lane), Ref(front.states[lane]))
        index = (front.step, lane, i)
        return graph.add(
            f"{verb}-{part.name}", index, func, Ref(self.model), *arguments, *refs(inputs), lane=lane
        )

    def _load_batch(self, graph: Graph, step: int, lane: int) -> Key:
        loaded = (Ref(self.model), step, self.streams(lane), *self.pieces(step, lane))
        return graph.add("load-batch", (step, lane), tasks.load_batch, *loaded, lane=lane)

    def _measure(self, graph: Graph, front: Front, lane: int, batch: Key, last: Key) -> Key:
        measured = (front.step, self.streams(lane), Ref(front.states[lane]), Ref(batch), Ref(last))
        index = (front.step, lane)
        return graph.add("forward-loss", index, tasks.forward_loss, Ref(self.model), *measured, lane=lane)

    def _shared(self, graph: Graph, index: Key, values: list[Key], operation: int) -> tuple[Key, ...]:
        """The sum of what all lanes have gathered for an operation that shares statistics; else nothing."""
        if not self.shares or not shares_at(self.spec.program, operation):
            return ()
        return self._tree(graph, "reduce-statistics", index, values, True, tasks.reduce_statistics)

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        """The parts of the model that are tasks of their own."""
        operations, table = self.spec.program, self.spec.table
        cuts = boundaries(operations, self.layout.grain == "layer")
        if not self.shares and self.layout.grain != "layer":
            cuts = [0, len(operations)]
        found = []
        for first, stop in pairwise(cuts):
            runs = [op.layer.kind for op in operations[first:stop] if op.role == "run"]
            name = runs[0].replace("_", "-") if runs and self.layout.grain == "layer" else "stage"
            start, end = extent(table, operations, differentiated(operations, (first, stop)))
            found.append(Part(name, first, stop, end - start))
        return tuple(found)

    def _updated(self, graph: Graph, front: Front, fresh: bool) -> Front:
        """Every lane's state with the pending gradients taken in, each on its own worker."""
        if not front.gradients:
            return front
        states = tuple(
            self._update(graph, front, (front.step, lane), front.states[lane], fresh, lane)
            for lane in range(self.layout.data)
        )
        return replace(front, states=states, gradients=())

    def _update(
        self, graph: Graph, front: Front, index: Key, state: Key, fresh: bool, lane: int | None
    ) -> Key:
        arguments = (Ref(self.model), front.lr, fresh, Ref(state), *refs(front.gradients))
        return graph.add("update", index, tasks.update, *arguments, lane=lane)

    def _tree(
        self,
        graph: Graph,
        operation: str,
        index: Key,
        keys: Sequence[Key],
        root: bool = False,
        reduce: Callable[..., Any] = tasks.reduce_gradient,
    ) -> tuple[Key, ...]:
        """Add the reduction tree over `keys`; returns the keys of its last level."""
        below = list(keys)
        for nodes in levels(len(below), self.layout.fan_in, root):
            above = []
            for node in nodes:
                inputs = [below[i] for i in node.inputs]
                lane = node.inputs[0] * self.layout.fan_in**node.level
                above.append(
                    graph.add(
                        operation,
                        (*index, node.level, node.place),
                        reduce,
                        *refs(inputs),
                        lane=lane,
                    )
                    if len(inputs) > 1
                    else inputs[0]
                )
            below = above
        return tuple(below)

    def _many_steps(self, graph: Graph, front: Front, rates: Sequence[float]) -> Front:
        lanes, steps = tuple(self.streams(lane) for lane in range(self.layout.data)), self.spec.order.steps
        streams = range(self.spec.order.streams)
        places: dict[tuple[int, int], None] = {}
        for step in range(front.step, front.step + len(rates)):
            for piece in self.spec.order.pieces(step // steps, step % steps, streams):
                places[piece.stream, piece.chunk] = None
        how = (tuple(rates), lanes, self.layout.fan_in, tuple(places))
        arguments = (Ref(self.model), *how, Ref(front.states[0]))
        chunks = refs(self.chunks[place] for place in places)
        key = graph.add("train-window", (front.step,), tasks.train_window, *arguments, *chunks, lane=0)
        return Front(front.step + len(rates), (key,) * self.layout.data)
