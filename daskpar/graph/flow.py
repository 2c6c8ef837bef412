"""One step of all lanes through a model in parts: micro-batches flow forward, gradients flow back.

Two stages, a lane, two micro-batches; what the schedule has a stage do one after the other hangs together by
dependencies (dotted), so that no more activations are alive than it says:

    stage 0   forward[0] ┄┄> forward[1] ┄┄┄┄┄┄┄┄┄┄┄┄> backward[0] ┄┄> backward[1]
                  └─────┐        └────────┐             ┌──┘   ┌─────────┘
    stage 1             └> forward[0] ┄┄> backward[0] ──┘ ┄> forward[1] ┄┄> backward[1]

A part that is cut in width is as many tasks side by side, and one that joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref, refs
from daskpar.graph.layout import Layout
from daskpar.graph.partition import Part
from daskpar.graph.reduce import add_tree
from daskpar.graph.schedule import FORWARD, Action, schedule, timeline
from daskpar.graph.spec import Spec
from daskpar.nn.program import shares_at

Where = tuple[int, int]
"""(lane, micro-batch)"""


_SEND: dict[str, Callable[..., Any]] = {
    "activation": tasks.send_activation,
    "gradient": tasks.send_gradient,
    "targets": tasks.send_targets,
}


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
        self._lanes = range(layout.data)
        self._inputs: dict[tuple[int, Where], Key] = {}  # what flows into a part
        self._forward: dict[tuple[int, Where], list[Key]] = {}  # the tasks of a part, forward
        self._above: dict[Where, list[Key]] = {}  # what flows back so far: one value, or one for each branch
        self._backward: dict[tuple[int, Where], list[Key]] = {}
        self._after: dict[tuple[int, int], Key] = {}  # what a lane's stage did last
        self._sent: dict[tuple[Key, str], Key] = {}

    def build(self) -> Iterator[Leaf]:
        """Add all tasks; yields the gradients of the last micro-batch, to which those before are added."""
        lists = schedule(self.layout.schedule, self.layout.depth, self.layout.microbatches)
        for slot in sorted(timeline(lists), key=lambda slot: slot.start):
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
        return self.layout.place(lane, self.cut.parts[part].stage, branch)

    def _go_forward(self, i: int, action: Action) -> None:
        part, micro = self.cut.parts[i], action.micro
        for lane in self._lanes:
            where = (lane, micro)
            if i == 0:
                self._inputs[0, where] = self.batches[lane]
        shared = self._shared(i, "forward", micro, [self._inputs[i, (lane, micro)] for lane in self._lanes])
        for lane in self._lanes:
            where, given = (lane, micro), self._inputs[i, (lane, micro)]
            keys = []
            for branch in range(len(part.spans)):
                at = self.place(lane, i, branch)
                value = self._send(given, at, "activation")
                after = self._turn(lane, part, i, FORWARD) if branch == 0 else None
                keys.append(self._task(FORWARD, i, where, branch, tasks.forward_part, value, shared, after))
            self._forward[i, where] = keys
            self._after[lane, part.stage] = keys[0]
            last = i + 1 == len(self.cut.parts)
            if last and self.cut.splits_loss:
                self._above[where] = self._measure_parts(i, where, keys)
                continue
            out = keys[0]
            if part.section is not None:
                out = self._join(i, where, FORWARD, part.section.sums, given, keys)
            if last:
                self._above[where] = [self._measure(where, out)]
            else:
                self._inputs[i + 1, where] = out

    def _go_back(self, i: int, action: Action) -> None:
        part, micro = self.cut.parts[i], action.micro
        meets = [self._above[lane, micro][0] for lane in self._lanes]
        shared = self._shared(part.stop, "backward", micro, meets, operation=True)
        for lane in self._lanes:
            where = (lane, micro)
            above, keys = self._above[where], []
            upper = self._forward[i + 1, where][0] if shared is not None else None
            for branch in range(len(part.spans)):
                at = self.place(lane, i, branch)
                value = self._send(above[branch % len(above)], at, "gradient")
                before = self._backward[i, (lane, micro - 1)][branch] if micro else None
                after = self._turn(lane, part, i, "backward") if branch == 0 else None
                inputs = (self._forward[i, where][branch], value, upper, shared, before, after)
                keys.append(self._task("backward", i, where, branch, tasks.backward_part, *inputs))
            self._backward[i, where] = keys
            self._after[lane, part.stage] = keys[0]
            self._above[where] = keys[:1]
            needed = i > 0 and part.first > self.cut.first_trained
            if part.section is not None and needed:
                self._above[where] = [self._join(i, where, "backward", True, above[0], keys)]

    def _task(
        self, verb: str, i: int, where: Where, branch: int, func: Callable[..., Any], *inputs: Key | None
    ) -> Key:
        (lane, micro), part = where, self.cut.parts[i]
        layout = self.layout
        index: tuple[int, ...] = (self.step, lane, i)
        index += (micro,) if layout.microbatches > 1 else ()
        index += (branch,) if part.section is not None else ()
        at = tasks.At(
            *(self.step, self.streams(lane), i, branch, micro, layout.microbatches, layout.recompute)
        )
        owners = [self.parameters(lane, span.place) for span in part.spans[branch]]
        given = [None if key is None else Ref(key) for key in inputs]
        place = self.place(lane, i, branch)
        operation = f"{verb}-{part.name}"
        return self.graph.add(operation, index, func, Ref(self.model), at, *given, *refs(owners), lane=place)

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
        batch = self._send(self.batches[lane], place, "targets")
        index = (self.step, lane, micro) if self.layout.microbatches > 1 else (self.step, lane)
        given = refs([batch, last, *owners])
        return self.graph.add(
            "forward-loss", index, tasks.forward_loss, Ref(self.model), at, *given, lane=place
        )

    def _measure_parts(self, i: int, where: Where, outputs: list[Key]) -> list[Key]:
        """The loss across parts in width, whose outputs stay where they are."""
        lane, micro = where
        places = [self.place(lane, i, branch) for branch in range(len(outputs))]
        batches = [self._send(self.batches[lane], place, "targets") for place in places]
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

    def _join(self, i: int, where: Where, verb: str, sums: bool, other: Key, keys: list[Key]) -> Key:
        """What the parts in width put out, as one value; by a tree where it is a sum."""
        lane, micro = where
        kind = "activation" if verb == FORWARD else "gradient"
        place = self.place(lane, i)
        index: tuple[Any, ...] = (self.step, lane, i, verb, micro)
        places = [self.place(lane, i, branch) for branch in range(len(keys))]
        keys = [self._send(key, place, kind) for key in keys]
        if sums:
            tree = (self.graph, "reduce-activation", index, keys, places, self.layout.fan_in)
            keys = list(add_tree(*tree, reduce=tasks.add_outputs))
        given = refs([self._send(other, place, kind), *keys])
        operation, root = "reduce-activation" if sums else "join-activation", (*index, "root")
        if verb == FORWARD:
            return self.graph.add(operation, root, tasks.join_forward, sums, *given, lane=place)
        return self.graph.add(operation, root, tasks.join_backward, *given, lane=place)

    def _shared(self, i: int, verb: str, micro: int, keys: list[Key], operation: bool = False) -> Key | None:
        """The sum of what all lanes have gathered for an operation that shares statistics, or None."""
        parts = self.cut.parts
        first = i if operation else parts[i].first
        gathers = not operation and parts[i].first == parts[i].stop
        if gathers or not shares_at(self.cut.program, first):
            return None
        number = next(k for k, part in enumerate(parts) if part.first == first < part.stop)
        places = [self.place(lane, number) for lane in self._lanes]
        index = (self.step, verb, number, micro)
        tree = (self.graph, "reduce-statistics", index, keys, places, self.layout.fan_in)
        return add_tree(*tree, root=True, reduce=tasks.reduce_statistics)[0]

    def _send(self, key: Key, place: int, kind: str) -> Key:
        """The key of what a place needs of a value: where it lies with another process, not all of it."""
        home = self.graph.lanes.get(key)
        rows = key in self.batches and kind == "activation"
        if not self.apart or rows or home is None or home == place:
            return key
        if key not in self._sent:
            self._sent[key] = self.graph.add(
                f"send-{kind}", (*key[1:], key[0].rpartition("-")[0]), _SEND[kind], Ref(key), lane=home
            )
        return self._sent[key]
