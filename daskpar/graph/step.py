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
from typing import Any

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs
from daskpar.graph.layout import Layout
from daskpar.graph.spec import Spec
from daskpar.graph.tree import levels


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
        fresh = True
        for lr in rates:
            if self.layout.grain == "step" and not self.split_update:
                front = self._riding_step(graph, front, lr, fresh)
            else:
                front = self._updated(graph, front, fresh)
                add = self._lane_step if self.layout.grain == "step" else self._layer_step
                front = Front(front.step + 1, front.states, add(graph, front), lr)
            fresh = False
        return front

    def cut(self, graph: Graph, front: Front) -> Key:
        """Add the update that makes the state of `front` a value of its own; returns its key."""
        return self._update(graph, front, (front.step,), front.states[0], fresh=False, lane=None)

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
        parts = self._parts()
        per_part: list[list[Key]] = [[] for _ in parts]
        for lane in range(self.layout.data):
            for i, key in enumerate(self._lane_layers(graph, front, lane, parts)):
                per_part[i].append(key)
        wanted = [
            i
            for i, (_, span) in enumerate(parts)
            if span[1] == len(self.spec.model.layers) or self._size(span)
        ]
        return tuple(
            key
            for i in wanted
            for key in self._tree(graph, "reduce-gradient", (front.step, i), per_part[i], root=True)
        )

    def _lane_layers(self, graph: Graph, front: Front, lane: int, parts: list[Any]) -> list[Key]:
        """One lane's forward and backward tasks; returns the keys of its backward tasks, part by part."""
        step, model = front.step, Ref(self.model)
        common = (step, self.streams(lane))
        owner = Ref(front.states[lane])

        def part(verb: str, func: Callable[..., Any], i: int, *inputs: Key) -> Key:
            name, span = parts[i]
            arguments = (model, span, *common, owner, *refs(inputs))
            return graph.add(f"{verb}-{name}", (step, lane, i), func, *arguments, lane=lane)

        loaded = (model, *common, *self.pieces(step, lane))
        batch = graph.add("load-batch", (step, lane), tasks.load_batch, *loaded, lane=lane)
        forward = [batch]
        for i in range(len(parts)):
            forward.append(part("forward", tasks.forward_part, i, forward[-1]))
        measured = (model, *common, owner, Ref(batch), Ref(forward[-1]))
        backward = [graph.add("forward-loss", (step, lane), tasks.forward_loss, *measured, lane=lane)]
        for i in reversed(range(len(parts))):
            backward.append(part("backward", tasks.backward_part, i, forward[i + 1], backward[-1]))
        return backward[:0:-1]

    def _parts(self) -> list[tuple[str, tuple[int, int]]]:
        """The parts of the model that are tasks of their own: (name, span of layers)."""
        layers = self.spec.model.layers
        if self.layout.grain == "layer":
            return [(layer.kind.replace("_", "-"), (i, i + 1)) for i, layer in enumerate(layers)]
        return [("stage", (0, len(layers)))]

    def _size(self, span: tuple[int, int]) -> int:
        start, stop = self.spec.table.span(*span)
        return stop - start

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
        self, graph: Graph, operation: str, index: Key, keys: Sequence[Key], root: bool = False
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
                        tasks.reduce_gradient,
                        *refs(inputs),
                        lane=lane,
                    )
                    if len(inputs) > 1
                    else inputs[0]
                )
            below = above
        return tuple(below)

    def _many_steps(self, graph: Graph, front: Front, rates: Sequence[float]) -> Front:
        streams, steps = self.streams(0), self.spec.order.steps
        places: dict[tuple[int, int], None] = {}
        for step in range(front.step, front.step + len(rates)):
            for piece in self.spec.order.pieces(step // steps, step % steps, streams):
                places[piece.stream, piece.chunk] = None
        arguments = (Ref(self.model), tuple(rates), streams, tuple(places), Ref(front.states[0]))
        chunks = refs(self.chunks[place] for place in places)
        key = graph.add("train-window", (front.step,), tasks.train_window, *arguments, *chunks, lane=0)
        return Front(front.step + len(rates), (key,))
