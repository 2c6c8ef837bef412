"""Tensor parallelism: layers are cut by columns, heads, channels or words (Shoeybi et al. 2019, Megatron-LM).

A cut part of the model, such as `dense, relu, dense`, becomes `width` branches. Each stores a slice of
the parameters and works on all rows. `width: 2`, forward:

    forward-stage ─┬─> forward-dense (branch 0) ─┬─> reduce-activation ──> forward-stage
                   └─> forward-dense (branch 1) ─┘

Every branch reads the same value. The outputs are summed (`reduce-activation`, a tree where there are more
branches than its fan-in) or concatenated (`join-activation`). Backward, the gradients of the branches'
common input are summed in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.arguments import Output
from daskpar.layout.boundary import Mover
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.pipeline_schedule import FORWARD
from daskpar.layout.plan import Kind
from daskpar.settings import setting

_AXES = ("lane", "part", "pass", "micro")
_SUM = Kind("reduce-activation", "reduce", _AXES, urgent=True)
_JOIN = Kind("join-activation", "join", _AXES, urgent=True)


@dataclass(frozen=True)
class Width(Cut):
    """Tensor parallelism: parts of a layer, whose outputs are summed or concatenated."""

    width: int = setting(
        1,
        "parts that layers are cut into by columns, heads, channels or words (tensor parallelism); a divisor "
        "of their number",
        at_least=1,
    )

    def check(self, demands: Demands) -> None:
        if self.width == 1:
            return
        if demands.synchronised:
            raise InputError(
                f"layout.width={self.width} cannot be had with {demands.synchronised}: {{sync: true}}, whose "
                "statistics are those of the whole batch; leave sync out"
            )
        if not demands.optimizer.elementwise:
            raise InputError(
                f"layout.width={self.width} cuts tensors, but {demands.optimizer.kind} needs the norms of "
                "whole tensors; use another optimizer, or cut in data or stages"
            )


class Branches(Mover):
    """The mover of a part that is cut in width."""

    def begin(self, draft: Draft, part: int, track: int, batch: Output) -> list[StageInput]:
        return [StageInput(batch)] * len(draft.partition.parts[part].spans)

    def scatter(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, whole: Output
    ) -> list[StageInput]:
        return [StageInput(whole)] * len(draft.partition.parts[part].spans)

    def gather(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, into: Output, branches: Sequence[Output]
    ) -> Output:
        """Return the outputs of all branches as one value: summed by a tree, or concatenated."""
        section = draft.partition.parts[part].section
        assert section is not None
        sums = verb != FORWARD or section.sums
        what = "activation" if verb == FORWARD else "gradient"
        slot, index = draft.slot(rows.track, part), (rows.track, part, verb, rows.micro)
        values: Sequence[Output] = [draft.send(value, slot, what) for value in branches]
        if sums:
            values = draft.tree(_SUM, "add_outputs", index, values)
        root = _SUM if sums else _JOIN
        root = root._replace(axes=(*root.axes, "node"))
        inputs = (draft.send(into, slot, what), *values)
        if verb == FORWARD:
            return draft.section.add(root, "join_forward", (*index, "root"), slot, sums, *inputs)
        return draft.section.add(root, "join_backward", (*index, "root"), slot, *inputs)

    def exchange(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, branches: Sequence[Output]
    ) -> list[StageInput] | None:
        return None
