"""The passes of one step: micro-batches flow forward through the parts of a model, gradients flow back.

One lane, two stages, two micro-batches, `pipeline: 1f1b`; time runs to the right:

    stage 0   forward 0 ┄> forward 1 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄> backward 0 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄> backward 1
    stage 1                forward 0 ┄> backward 0 ┄> forward 1 ┄> backward 1

Data flows from `forward m` of stage 0 to `forward m` of stage 1, and from `backward m` of stage 1 to
`backward m` of stage 0. The dotted arrows are further dependencies: they keep the order of the schedule, so
that no stage has more activations in memory than the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from daskpar.layout.arguments import Now, Output, PassId, Together
from daskpar.layout.boundary import Mover, Whole
from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.partition import Part
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD, Action, in_order
from daskpar.layout.plan import Kind
from daskpar.layout.tiles import Strips
from daskpar.layout.width import Branches
from daskpar.nn.operations import shares_at

_LOSS = Kind("forward-loss", "loss", ("lane", "micro"))
_GATHER_LOSS = Kind("gather-loss", "gather", ("lane", "micro", "branch"))
_REDUCE_LOSS = Kind("reduce-loss", "reduce", ("lane", "micro"), urgent=True)
_STATISTICS = Kind("reduce-statistics", "reduce", ("pass", "part", "micro"), urgent=True)


class Leaf(NamedTuple):
    """A track's gradient of a part: that of span number `span` of branch number `branch`, within `value`."""

    part: int
    branch: int
    span: int
    track: int
    value: Output


def mover(part: Part) -> Mover:
    """Return the mover of the cut that divides a part."""
    if part.strips:
        return Strips()
    return Branches() if part.section is not None else Whole()


class Passes:
    """The forward and backward passes of one step, written into a draft.

    Args:
        draft: Draft of the step.
        batches: Rows of each track.
        parameters: Function of (track, place) that returns the parameters of a place for a track.
    """

    def __init__(
        self,
        draft: Draft,
        batches: Sequence[Output],
        parameters: Callable[[int, int], Output],
    ):
        self.draft, self.batches, self.parameters = draft, batches, parameters
        self.layout, self.partition = draft.layout, draft.partition
        self.movers = [mover(part) for part in self.partition.parts]
        self._tracks = range(len(batches))
        self._inputs: dict[tuple[int, MicrobatchId], list[StageInput]] = {}
        self._forward: dict[tuple[int, MicrobatchId], list[Output]] = {}
        self._above: dict[MicrobatchId, list[StageInput]] = {}  # what flows back into the branches of a part
        self._backward: dict[tuple[int, MicrobatchId], list[Output]] = {}
        self._latest: dict[tuple[int, int], Output] = {}  # the last operation of a track's stage
        draft.small.update(batches)

    def build(self) -> Iterator[Leaf]:
        """Add all operations; yield the gradients of the last micro-batch, which include those before."""
        layout, parts = self.layout, self.partition.parts
        for timed in in_order(layout.pipeline, layout.depth, layout.microbatches):
            numbers = [i for i, part in enumerate(parts) if part.stage == timed.stage]
            forward = timed.action.verb == FORWARD
            for i in numbers if forward else reversed(numbers):
                (self._go_forward if forward else self._go_back)(i, timed.action)
        for i, part in enumerate(parts):
            for branch, spans in enumerate(part.spans):
                for number, span in enumerate(spans):
                    if span.start < span.stop or (i == len(parts) - 1 and branch == number == 0):
                        for track in self._tracks:
                            last = MicrobatchId(track, layout.microbatches - 1)
                            yield Leaf(i, branch, number, track, self._backward[i, last][branch])

    def _go_forward(self, i: int, action: Action) -> None:
        part, micro = self.partition.parts[i], action.micro
        if i == 0:
            for track in self._tracks:
                self._inputs[0, MicrobatchId(track, micro)] = self._first_inputs(track)
        inputs = [self._inputs[i, MicrobatchId(track, micro)] for track in self._tracks]
        shared = self._shared(i, FORWARD, micro, inputs)
        for track in self._tracks:
            rows = MicrobatchId(track, micro)
            values = []
            for branch, flows_in in enumerate(self._inputs[i, rows]):
                value = self._received(flows_in, self.draft.slot(track, i, branch), "activation")
                after = self._turn(track, part, i, FORWARD) if branch == 0 else None
                values.append(self._pass(FORWARD, i, rows, branch, "forward_part", value, shared, after))
            self._forward[i, rows] = values
            self._latest[track, part.stage] = values[0]
            self._forward_inputs(i, rows, values)

    def _first_inputs(self, track: int) -> list[StageInput]:
        """Return the track's batch for the branches of the first part, the same for all micro-batches."""
        known = self._inputs.get((0, MicrobatchId(track, 0)))
        return known or self.movers[0].begin(self.draft, 0, track, self.batches[track])

    def _forward_inputs(self, i: int, rows: MicrobatchId, values: list[Output]) -> None:
        """Move the outputs of part i to the next part, or to the loss."""
        last = i + 1 == len(self.partition.parts)
        if last and self.partition.splits_loss:
            self._above[rows] = [StageInput(value) for value in self._measure_parts(i, rows, values)]
            return
        if not last:
            exchanged = self.movers[i + 1].exchange(self.draft, FORWARD, i + 1, rows, values)
            if exchanged is not None:
                self._inputs[i + 1, rows] = exchanged
                return
        into = self._inputs[i, rows][0].value
        whole = self.movers[i].gather(self.draft, FORWARD, i, rows, into, values)
        if last:
            loss = self._measure(rows, whole)
            self._above[rows] = self.movers[i].scatter(self.draft, BACKWARD, i, rows, loss)
        else:
            self._inputs[i + 1, rows] = self.movers[i + 1].scatter(self.draft, FORWARD, i + 1, rows, whole)

    def _go_back(self, i: int, action: Action) -> None:
        part, micro = self.partition.parts[i], action.micro
        above = [self._above[MicrobatchId(track, micro)] for track in self._tracks]
        shared = self._shared(part.stop, BACKWARD, micro, above, operation=True)
        for track in self._tracks:
            rows, values = MicrobatchId(track, micro), []
            for branch in range(len(part.spans)):
                value = self._received(above[track][branch], self.draft.slot(track, i, branch), "gradient")
                upper = self._forward[i + 1, rows][branch] if shared is not None else None
                before = self._backward[i, MicrobatchId(track, micro - 1)][branch] if micro else None
                after = self._turn(track, part, i, BACKWARD) if branch == 0 else None
                inputs = (self._forward[i, rows][branch], value, upper, shared, before, after)
                values.append(self._pass(BACKWARD, i, rows, branch, "backward_part", *inputs))
            self._backward[i, rows] = values
            self._latest[track, part.stage] = values[0]
            if i > 0:
                self._above[rows] = self._backward_inputs(i, rows, above[track][0].value, values)

    def _backward_inputs(
        self, i: int, rows: MicrobatchId, above: Output, values: list[Output]
    ) -> list[StageInput]:
        """Return the gradients for the branches of part i - 1, from those of part i."""
        part, below = self.partition.parts[i], self.partition.parts[i - 1]
        if part.first <= self.partition.first_trained:  # no trained parameters before it: only the sums pass
            return [StageInput(values[k % len(values)]) for k in range(len(below.spans))]
        exchanged = self.movers[i - 1].exchange(self.draft, BACKWARD, i - 1, rows, values)
        if exchanged is not None:
            return exchanged
        whole = self.movers[i].gather(self.draft, BACKWARD, i, rows, above, values)
        return self.movers[i - 1].scatter(self.draft, BACKWARD, i - 1, rows, whole)

    def _received(self, flows_in: StageInput, slot: int, what: str) -> Output | Together:
        """Return the argument of an operation: a value, or a list of it and the edges of other tiles."""
        value = self.draft.send(flows_in.value, slot, what)
        return value if flows_in.edges is None else Together((value, *flows_in.edges))

    def _pass(
        self, verb: str, i: int, rows: MicrobatchId, branch: int, function: str, *inputs: object
    ) -> Output:
        (track, micro), part = rows, self.partition.parts[i]
        axes, index = ["lane", "part"], [track, i]
        if self.layout.microbatches > 1:
            axes.append("micro")
            index.append(micro)
        if len(part.spans) > 1:
            axes.append("branch")
            index.append(branch)
        slot = self.draft.slot(track, i, branch)
        pass_id = PassId(track, i, branch, micro)
        owners = [self._owner(track, slot, span.place) for span in part.spans[branch]]
        kind = Kind(f"{verb}-{part.name}", verb, tuple(axes))
        return self.draft.section.add(
            kind, function, tuple(index), slot, Now.MODEL, Now.STEP, pass_id, *inputs, *owners
        )

    def _owner(self, track: int, slot: int, number: int) -> Output:
        """Return the parameters of a place, for a part that may run on another slot."""
        return self.draft.send(self.parameters(track, number), slot, "parameters")

    def _turn(self, track: int, part: Part, i: int, verb: str) -> Output | None:
        """Return the operation that the schedule puts before this one; None within an action."""
        parts = self.partition.parts
        neighbour = i - 1 if verb == FORWARD else i + 1
        begun = 0 <= neighbour < len(parts) and parts[neighbour].stage == part.stage
        if self.layout.microbatches == 1 or begun:
            return None
        return self._latest.get((track, part.stage))

    def _measure(self, rows: MicrobatchId, outputs: Output) -> Output:
        end = len(self.partition.parts) - 1
        slot = self.draft.slot(rows.track, end)
        owners = [self.parameters(rows.track, 0)] if len(self.partition.places) == 1 else []
        batch = self.draft.send(self.batches[rows.track], slot, "targets")
        index = tuple(rows) if self.layout.microbatches > 1 else (rows.track,)
        kind = _LOSS._replace(axes=_LOSS.axes[: len(index)])
        pass_id = PassId(rows.track, end, 0, rows.micro)
        arguments = (Now.MODEL, Now.STEP, pass_id, batch, outputs, *owners)
        return self.draft.section.add(kind, "forward_loss", index, slot, *arguments)

    def _measure_parts(self, i: int, rows: MicrobatchId, outputs: list[Output]) -> list[Output]:
        """Return the loss of each part in width. The outputs stay on their slots."""
        section, track = self.draft.section, rows.track
        slots = [self.draft.slot(track, i, branch) for branch in range(len(outputs))]
        batches = [self.draft.send(self.batches[track], slot, "targets") for slot in slots]
        pass_ids = [PassId(track, i, branch, rows.micro) for branch in range(len(outputs))]
        each = list(zip(pass_ids, batches, outputs, slots, strict=True))
        gathered = [
            section.add(
                *(_GATHER_LOSS, "gather_loss", (*rows, pass_id.branch), slot),
                *(Now.MODEL, Now.STEP, pass_id, batch, output),
            )
            for pass_id, batch, output, slot in each
        ]
        total = section.add(_REDUCE_LOSS, "reduce_loss", tuple(rows), slots[0], Now.MODEL, *gathered)
        return [
            section.add(
                *(_LOSS._replace(axes=(*_LOSS.axes, "branch")), "split_loss", (*rows, pass_id.branch), slot),
                *(Now.MODEL, Now.STEP, pass_id, batch, output, total),
            )
            for pass_id, batch, output, slot in each
        ]

    def _shared(
        self, i: int, verb: str, micro: int, inputs: list[list[StageInput]], operation: bool = False
    ) -> Output | None:
        """Return the sum of all tracks' statistics for a synchronised operation; None for any other."""
        parts = self.partition.parts
        first = i if operation else parts[i].first
        gathers = not operation and parts[i].first == parts[i].stop
        if gathers or not shares_at(self.partition.program, first):
            return None
        number = next(k for k, part in enumerate(parts) if part.first == first < part.stop)
        branches = range(len(parts[number].spans))
        values = [inputs[track][branch].value for track in self._tracks for branch in branches]
        slots = [self.draft.slot(track, number, branch) for track in self._tracks for branch in branches]
        function = "reduce_statistics" if operation else "reduce_moments"
        return self.draft.tree(_STATISTICS, function, (verb, number, micro), values, True, slots=slots)[0]
