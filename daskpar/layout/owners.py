"""The owners of parameters: every lane a copy of each place's, or one lane each shard."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.layout.cuts import Cuts
from daskpar.layout.partition import Partition, Span, shard_spans


class Owned(NamedTuple):
    """Parameters and their optimizer state as one value: `span` of a place's, None for the whole model's.

    `lanes`: those that have a copy each.
    """

    span: Span | None
    lanes: tuple[int, ...]


def owned(layout: Cuts, partition: Partition) -> tuple[Owned, ...]:
    """All that is owned, in the order of the places."""
    lanes = tuple(range(layout.data))
    if len(partition.places) == 1 and layout.shards == 1:
        return (Owned(None, lanes),)
    if layout.shards == 1:
        return tuple(Owned(Span(n, 0, p.table.size), lanes) for n, p in enumerate(partition.places))
    return tuple(
        Owned(span, (j * layout.data // layout.shards,))
        for number, place in enumerate(partition.places)
        for j, span in enumerate(shard_spans(place, number, layout.shards))
    )


def slot_of(layout: Cuts, partition: Partition, span: Span | None, lane: int) -> int:
    """The slot at which a lane holds parameters."""
    if span is None:
        return layout.place(lane)
    place = partition.places[span.place]
    return layout.place(lane, place.stage, place.branch)


def is_whole(layout: Cuts, partition: Partition) -> bool:
    """Whether a lane's pass through the model is one operation."""
    return layout.grain == "step" and not layout.cuts_model and len(partition.parts) == 1
