"""One step of all lanes through a model in parts: micro-batches flow forward, gradients flow back.

Two stages, a lane, two micro-batches; what the schedule has a stage do one after the other hangs together by
dependencies (dotted), so that no more activations are alive than it says:

    stage 0   forward[0] ┄┄> forward[1] ┄┄┄┄┄┄┄┄┄┄┄┄> backward[0] ┄┄> backward[1]
                  └─────┐        └────────┐             ┌──┘   ┌─────────┘
    stage 1             └> forward[0] ┄┄> backward[0] ──┘ ┄> forward[1] ┄┄> backward[1]

A part that is cut in width, or by rows of pixels, is as many tasks side by side; `handing.py` has what lies
between parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs, several
from daskpar.graph.handing import Given, Handing, Where
from daskpar.graph.layout import Layout
from daskpar.graph.partition import Part
from daskpar.graph.reduce import add_tree
from daskpar.graph.schedule import BACKWARD, FORWARD, Action, in_order
from daskpar.graph.spec import Spec
from daskpar.nn.operations import shares_at


class Leaf(NamedTuple):
    """A lane's gradient of a part, in the value of `key`: that of span `span` of branch `branch`."""

    part: int
    branch: int
    span: int
    lane: int
    key: Key


class Flow:
    """Adds the forward and the backward passes of one step to a graph.

    `batches` are the keys of the lanes' rows, `parameters(lane, place)` gives the key of a place's
    parameters for a lane, and `apart` says whether workers are processes, between which only what is needed
    should travel.
    """

    def __init__(
        self,
        graph: Graph,
        spec: Spec,
        layout: Layout,
        model: Key,
        step: int,
        streams: Callable[[int], range],
        batches: list[Key],
        parameters: Callable[[int, int], Key],
        apart: bool,
    ):
        self.graph, self.spec, self.layout, self.model = graph, spec, layout, model
        self.step, self.streams, self.batches = step, streams, batches
        self.parameters, self.apart = parameters, apart
        self.cut = spec.partition
        self.handing = Handing(graph, layout, self.cut, step, batches, apart)
        self._lanes = range(layout.data)
        self._inputs: dict[tuple[int, Where], list[Given]] = {}  # what flows into the branches of a part
        self._forward: dict[tuple[int, Where], list[Key]] = {}  # the tasks of a part, forward
        self._above: dict[Where, list[Given]] = {}  # what flows back so far into the branches of a part
        self._backward: dict[tuple[int, Where], list[Key]] = {}
        self._after: dict[tuple[int, int], Key] = {}  # what a lane's stage did last

    def build(self) -> Iterator[Leaf]:
        """Add all tasks; yields the gradients of the last micro-batch, to which those before are added."""
        for slot in in_order(self.layout.schedule, self.layout.depth, self.layout.microbatches):
            own = [i for i, part in enumerate(self.cut.parts) if part.stage == slot.stage]
            for i in own if slot.action.verb == FORWARD else reversed(own):
                (self._go_forward if slot.action.verb == FORWARD else self._go_back)(i, slot.action)
        for i, part in enumerate(self.cut.parts):
            for branch, spans in enumerate(part.spans):
                for number, span in enumerate(spans):
                    if span.start < span.stop or (i == len(self.cut.parts) - 1 and branch == number == 0):
                        for lane in self._lanes:
                            key = self._backward[i, (lane, self.layout.microbatches - 1)][branch]
                            yield Leaf(i, branch, number, lane, key)

    def place(self, lane: int, part: int, branch: int = 0) -> int:
        return self.handing.place(lane, part, branch)

    def _go_forward(self, i: int, action: Action) -> None:
        part, micro = self.cut.parts[i], action.micro
        for lane in self._lanes:
            if i == 0:
                self._inputs[0, (lane, micro)] = self.handing.begin((lane, micro))
        shared = self._shared(i, FORWARD, micro, [self._inputs[i, (lane, micro)] for lane in self._lanes])
        for lane in self._lanes:
            where = (lane, micro)
            keys = []
            for branch, given in enumerate(self._inputs[i, where]):
                value = self._given(given, self.place(lane, i, branch), "activation")
                after = self._turn(lane, part, i, FORWARD) if branch == 0 else None
                keys.append(self._task(FORWARD, i, where, branch, tasks.forward_part, value, shared, after))
            self._forward[i, where] = keys
            self._after[lane, part.stage] = keys[0]
            flowed_in = self._inputs[i, where][0].value
            if i + 1 < len(self.cut.parts):
                self._inputs[i + 1, where] = self.handing.onward(i, where, flowed_in, keys)
            elif self.cut.splits_loss:
                self._above[where] = [Given(key) for key in self._measure_parts(i, where, keys)]
            else:
                loss = self._measure(where, self.handing.joined(i, where, flowed_in, keys))
                self._above[where] = self.handing.shared_out(i, where, loss)

    def _go_back(self, i: int, action: Action) -> None:
        part, micro = self.cut.parts[i], action.micro
        meets = [self._above[lane, micro] for lane in self._lanes]
        shared = self._shared(part.stop, BACKWARD, micro, meets, operation=True)
        for lane in self._lanes:
            where = (lane, micro)
            above, keys = self._above[where], []
            for branch in range(len(part.spans)):
                value = self._given(above[branch], self.place(lane, i, branch), "gradient")
                upper = self._forward[i + 1, where][branch] if shared is not None else None
                before = self._backward[i, (lane, micro - 1)][branch] if micro else None
                after = self._turn(lane, part, i, BACKWARD) if branch == 0 else None
                inputs = (self._forward[i, where][branch], value, upper, shared, before, after)
                keys.append(self._task(BACKWARD, i, where, branch, tasks.backward_part, *inputs))
            self._backward[i, where] = keys
            self._after[lane, part.stage] = keys[0]
            if i > 0:
                self._above[where] = self.handing.back(i, where, above[0].value, keys)

    def _given(self, given: Given, place: int, kind: str) -> Any:
        """The argument of a task: a value, or a list of it and what other tiles lend."""
        key = self.handing.send(given.value, place, kind)
        return Ref(key) if given.edges is None else several([key, *given.edges])

    def _task(
        self, verb: str, i: int, where: Where, branch: int, func: Callable[..., Any], *inputs: Any
    ) -> Key:
        (lane, micro), part = where, self.cut.parts[i]
        layout = self.layout
        index: tuple[int, ...] = (self.step, lane, i)
        index += (micro,) if layout.microbatches > 1 else ()
        index += (branch,) if len(part.spans) > 1 else ()
        at = tasks.At(
            *(self.step, self.streams(lane), i, branch, micro, layout.microbatches, layout.recompute)
        )
        owners = [self._owner(lane, i, branch, span.place) for span in part.spans[branch]]
        given = [Ref(value) if isinstance(value, tuple) else value for value in inputs]
        place = self.place(lane, i, branch)
        operation = f"{verb}-{part.name}"
        return self.graph.add(operation, index, func, Ref(self.model), at, *given, *refs(owners), lane=place)

    def _owner(self, lane: int, i: int, branch: int, number: int) -> Key:
        """The key of the parameters of a place, for a part that may be elsewhere."""
        key, holder = self.parameters(lane, number), self.cut.places[number]
        if not self.apart:
            return key
        home = self.layout.place(lane, holder.stage, holder.branch)
        return self.handing.send(key, self.place(lane, i, branch), "parameters", home)

    def _turn(self, lane: int, part: Part, i: int, verb: str) -> Key | None:
        """What a lane's stage is to do before, where the schedule is to be kept; once for each action."""
        parts = self.cut.parts
        neighbour = i - 1 if verb == FORWARD else i + 1
        begun = 0 <= neighbour < len(parts) and parts[neighbour].stage == part.stage
        if self.layout.microbatches == 1 or begun:
            return None
        return self._after.get((lane, part.stage))

    def _measure(self, where: Where, last: Key) -> Key:
        lane, micro = where
        end = len(self.cut.parts) - 1
        at = tasks.At(*(self.step, self.streams(lane), end, 0, micro, self.layout.microbatches, False))
        place = self.place(lane, end)
        owners = [self.parameters(lane, 0)] if len(self.cut.places) == 1 else []
        batch = self.handing.send(self.batches[lane], place, "targets")
        index = (self.step, lane, micro) if self.layout.microbatches > 1 else (self.step, lane)
        given = refs([batch, last, *owners])
        return self.graph.add(
            "forward-loss", index, tasks.forward_loss, Ref(self.model), at, *given, lane=place
        )

    def _measure_parts(self, i: int, where: Where, outputs: list[Key]) -> list[Key]:
        """The loss across parts in width, whose outputs stay where they are."""
        lane, micro = where
        places = [self.place(lane, i, branch) for branch in range(len(outputs))]
        batches = [self.handing.send(self.batches[lane], place, "targets") for place in places]
        index = (self.step, lane, micro)
        model, gathered = Ref(self.model), []
        whats = [
            tasks.At(*(self.step, self.streams(lane), i, branch, micro, self.layout.microbatches, False))
            for branch in range(len(outputs))
        ]
        each = list(zip(whats, batches, outputs, places, strict=True))
        for at, batch, output, place in each:
            given = (model, at, *refs([batch, output]))
            gathered.append(
                self.graph.add("gather-loss", (*index, at.branch), tasks.gather_loss, *given, lane=place)
            )
        total = self.graph.add(
            "reduce-loss", index, tasks.reduce_loss, model, *refs(gathered), lane=places[0]
        )
        keys = []
        for at, batch, output, place in each:
            given = (model, at, *refs([batch, output, total]))
            keys.append(
                self.graph.add("forward-loss", (*index, at.branch), tasks.split_loss, *given, lane=place)
            )
        return keys

    def _shared(
        self, i: int, verb: str, micro: int, given: list[list[Given]], operation: bool = False
    ) -> Key | None:
        """The sum of what all lanes have gathered for an operation that shares statistics, or None."""
        parts = self.cut.parts
        first = i if operation else parts[i].first
        gathers = not operation and parts[i].first == parts[i].stop
        if gathers or not shares_at(self.cut.program, first):
            return None
        number = next(k for k, part in enumerate(parts) if part.first == first < part.stop)
        branches = range(len(parts[number].spans))
        keys = [given[lane][branch].value for lane in self._lanes for branch in branches]
        places = [self.place(lane, number, branch) for lane in self._lanes for branch in branches]
        index = (self.step, verb, number, micro)
        tree = (self.graph, "reduce-statistics", index, keys, places, self.layout.fan_in)
        add = tasks.reduce_statistics if operation else tasks.reduce_moments
        return add_tree(*tree, root=True, reduce=add)[0]
