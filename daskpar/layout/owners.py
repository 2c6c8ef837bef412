"""The owners of parameters: every track a copy of each place's, or one track each shard."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.layout.cuts import Cuts
from daskpar.layout.partition import Partition, Span, shard_spans


class Owned(NamedTuple):
    """Parameters and their optimizer state as one value: `span` of a place's, None for the whole model's.

    `tracks`: those that have a copy each.
    """

    span: Span | None
    tracks: tuple[int, ...]


def owned(layout: Cuts, partition: Partition) -> tuple[Owned, ...]:
    """All that is owned, in the order of the places."""
    tracks = tuple(range(layout.tracks))
    if len(partition.places) == 1 and layout.shards == 1:
        return (Owned(None, tracks),)
    if layout.shards == 1:
        return tuple(Owned(Span(n, 0, p.table.size), tracks) for n, p in enumerate(partition.places))
    return tuple(
        Owned(span, (j * layout.tracks // layout.shards,))
        for number, place in enumerate(partition.places)
        for j, span in enumerate(shard_spans(place, number, layout.shards))
    )


def slot_of(layout: Cuts, partition: Partition, span: Span | None, track: int) -> int:
    """The slot at which a track holds parameters."""
    if span is None:
        return layout.slot(track)
    place = partition.places[span.place]
    return layout.slot(track, place.stage, place.branch)


def is_whole(layout: Cuts, partition: Partition) -> bool:
    """Return whether a track's pass through the model is one operation."""
    return layout.grain == "step" and not layout.cuts_model and len(partition.parts) == 1
