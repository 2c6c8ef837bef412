"""The owners of parameters: every track owns a copy, or one track owns each shard."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

from daskpar.layout.cuts import Cuts
from daskpar.layout.partition import Partition, Place, Span
from daskpar.nn.parameters import ALIGN


class Owned(NamedTuple):
    """Parameters and their optimizer state that are one value.

    `span` are elements of a place's buffer, None the whole model's. Each of `tracks` has a copy.
    """

    span: Span | None
    tracks: tuple[int, ...]


def owned(layout: Cuts, partition: Partition) -> tuple[Owned, ...]:
    """Return all owned parameters, in the order of the places."""
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
    """Return the slot at which a track stores parameters."""
    if span is None:
        return layout.slot(track)
    place = partition.places[span.place]
    return layout.slot(track, place.stage, place.branch)


def is_whole(layout: Cuts, partition: Partition) -> bool:
    """Return True if a track's pass through the model is one operation."""
    return layout.grain == "step" and not layout.cuts_model and len(partition.parts) == 1


def shard_spans(place: Place, number: int, shards: int) -> list[Span]:
    """Return a place's buffer in `shards` slices of about the same length.

    The running statistics of a layer stay in one slice, because they are updated together.
    """
    size = place.table.size
    ends = [-(-k * size // shards // ALIGN) * ALIGN for k in range(1, shards)]
    for name in {e.name.rpartition(".")[0] for e in place.table.entries if e.is_statistic}:
        start, stop = place.table.extent(partial(_is_in, name))
        ends = [stop if start < end < stop else end for end in ends]
    return [Span(number, a, b) for a, b in pairwise([0, *(min(end, size) for end in ends), size])]


def _is_in(layer: str, name: str) -> bool:
    """Return True if a parameter belongs to a layer itself, not to a layer within it."""
    return name.rpartition(".")[0] == layer
