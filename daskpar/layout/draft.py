"""A step's operations while they are being written down: what the parts of a plan share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daskpar.layout.described import Described
from daskpar.layout.plan import Index, Kind, Output, Section
from daskpar.layout.tree import levels


class MicrobatchId(NamedTuple):
    """A micro-batch of a track, which is a lane, or a share of the examples of one."""

    track: int
    micro: int


class StageInput(NamedTuple):
    """A value that flows into a branch; where tiles exchange rows, also the `edges` of its neighbours."""

    value: Output
    edges: tuple[Output, ...] | None = None


_SENDS = {
    what: Kind(f"send-{what}", "send", urgent=True)
    for what in ("activation", "gradient", "parameters", "targets")
}


@dataclass
class Draft:
    """A section that is being filled, and what it is for.

    `across_processes`: whether workers are processes, between which only what is needed is to be sent.
    `small`: values of which nothing need be left out when they are sent.
    """

    section: Section
    run: Described
    across_processes: bool

    def __post_init__(self) -> None:
        self.layout, self.partition = self.run.layout, self.run.partition
        self.small: set[Output] = set()

    def slot(self, track: int, part: int, branch: int = 0) -> int:
        """The slot at which a track does a part of the model."""
        return self.layout.slot(track, self.partition.parts[part].stage, branch)

    def send(self, value: Output, slot: int, what: str) -> Output:
        """The value as another slot needs it: where that may be another process, not all of it."""
        home = self.section.slot(value)
        if not self.across_processes or home is None or home == slot:
            return value
        if value in self.small and what != "targets":
            return value
        return self.sent(value, what)

    def sent(self, value: Output, what: str) -> Output:
        """The part of a value that other processes need; added once."""
        op, kind = self.section.ops[value.number], _SENDS[what]
        index = (*op.coordinates, op.kind.name)
        known = self.section.there(kind, index)
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
        """Add the tree over values; returns those of its last level, one with `root`.

        Each node is at the slot of the first of its leaves. `slots`: where leaves are needed, if not where
        they were made. `sent(value, level, place)`: a node's sum as it is sent
        on; the leaves are level 0.
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
