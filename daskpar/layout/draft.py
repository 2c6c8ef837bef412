"""The draft of a step: the section of a plan that is being filled, and the operations that send values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daskpar.layout.arguments import Output
from daskpar.layout.described import Described
from daskpar.layout.plan import Index, Kind, Section
from daskpar.layout.tree import levels


class MicrobatchId(NamedTuple):
    """The number of a track and of one of its micro-batches."""

    track: int
    micro: int


class StageInput(NamedTuple):
    """A value that flows into a branch. Where tiles exchange rows, `edges` are the rows of its neighbours."""

    value: Output
    edges: tuple[Output, ...] | None = None


_SENDS = {
    what: Kind(f"send-{what}", "send", urgent=True)
    for what in ("activation", "gradient", "parameters", "targets")
}


@dataclass
class Draft:
    """A section of a plan that is being filled, and the run that it is for.

    With `across_processes` workers are processes, and only the needed part of a value is sent between them.
    `small` are values that are sent as they are.
    """

    section: Section
    run: Described
    across_processes: bool

    def __post_init__(self) -> None:
        self.layout, self.partition = self.run.layout, self.run.partition
        self.small: set[Output] = set()

    def slot(self, track: int, part: int, branch: int = 0) -> int:
        """Return the slot that runs a part of the model for a track."""
        return self.layout.slot(track, self.partition.parts[part].stage, branch)

    def send(self, value: Output, slot: int, what: str) -> Output:
        """Return a value as another slot needs it: in another process only a part of it."""
        home = self.section.slot(value)
        if not self.across_processes or home is None or home == slot:
            return value
        if value in self.small and what != "targets":
            return value
        return self.sent(value, what)

    def sent(self, value: Output, what: str) -> Output:
        """Return the part of a value that other processes need. Its operation is added once."""
        op, kind = self.section.ops[value.number], _SENDS[what]
        index = (*op.coordinates, op.kind.name)
        known = self.section.output_of(kind, index)
        return known or self.section.add(
            kind._replace(axes=(*op.kind.axes, "of")), f"send_{what}", index, op.slot, value
        )

    def tree(
        self,
        kind: Kind,
        function: str,
        index: Index,
        values: Sequence[Output],
        root: bool = False,
        sent: Callable[[Output, int, int], Output] | None = None,
        slots: Sequence[int | None] | None = None,
    ) -> tuple[Output, ...]:
        """Add the reduction tree over values.

        Each node runs at the slot of its first leaf.

        Args:
            kind: Kind of the operations.
            function: Task function of the operations.
            index: Beginning of their coordinates; level and node are added.
            values: The leaves.
            root: Reduce to one value, not to `fan_in` values. Default: False.
            sent: Function of (sum, level, place) that adds the operation by which a node's sum is sent. The
                leaves are level 0. Default: None, sums are sent as they are.
            slots: Slots of the leaves. Default: the slots at which they were computed.

        Returns:
            The values of the last level, at most `fan_in`.
        """
        fan_in = self.layout.fan_in
        kind = kind._replace(axes=(*kind.axes, "level", "node"))
        below = list(values)
        slots = slots or [self.section.slot(value) for value in values]
        for nodes in levels(len(below), fan_in, root):
            above = []
            for node in nodes:
                inputs = [below[i] for i in node.inputs]
                if len(inputs) == 1:
                    above.append(inputs[0])
                    continue
                slot = slots[node.inputs[0] * fan_in**node.level]
                total = self.section.add(kind, function, (*index, node.level, node.place), slot, *inputs)
                above.append(total if sent is None else sent(total, node.level + 1, node.place))
            below = above
        return tuple(below)
