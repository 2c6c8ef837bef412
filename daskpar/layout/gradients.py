"""The reduction of gradients: a tree for each part of the model and each owner of its parameters.

The tree of a part starts when the part's backward pass ends, while earlier parts are still at work. Two lanes
and a model of two parts, in the order of time:

    lane 0   backward, part 1 ─┬─────> backward, part 0 ─┬─>
                               ├─> reduce-gradient 1     ├─> reduce-gradient 0
    lane 1   backward, part 1 ─┴─────> backward, part 0 ─┴─>
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskpar.layout.arguments import Output
from daskpar.layout.compression import Remainder, Sender
from daskpar.layout.draft import Draft
from daskpar.layout.owners import Owned, is_whole
from daskpar.layout.partition import Span
from daskpar.layout.passes import Leaf
from daskpar.layout.plan import Index, Kind

_GRADIENT = Kind("reduce-gradient", "reduce", (), urgent=True)
_SHARD = Kind("reduce-shard", "reduce", (), urgent=True)
_PICK = Kind("pick-gradient", "pick", ("part", "branch", "span", "lane", "start", "stop"), urgent=True)
_SUMS = Kind("sums", "sums", ("lane",))
_REDUCE_SUMS = Kind("reduce-sums", "reduce", (), urgent=True)


class ReducedGradients(NamedTuple):
    """The gradients of each owner, and the remainders of rounding them.

    `sums` are the sums of loss and metrics, if gradients do not carry them.
    """

    gradients: tuple[tuple[Output, ...], ...]
    remainders: tuple[tuple[Remainder, ...], ...]
    sums: tuple[Output, ...]


def reduce_gradients(draft: Draft, owners: Sequence[Owned], leaves: Sequence[Leaf]) -> ReducedGradients:
    """Add the trees over the tracks' gradients."""
    partition = draft.partition
    whole = is_whole(draft.layout, partition)
    gradients: list[list[Output]] = [[] for _ in owners]
    remainders: list[list[Remainder]] = [[] for _ in owners]
    groups: dict[tuple[int, int, int], list[Leaf]] = {}
    for leaf in leaves:
        branch = 0 if partition.parts[leaf.part].strips else leaf.branch  # tiles share one gradient
        groups.setdefault((leaf.part, branch, leaf.span), []).append(leaf)
    for (part, branch, number), group in groups.items():
        spans = {partition.parts[part].spans[leaf.branch][number] for leaf in group}
        if whole:
            spans = {Span(0, 0, draft.run.table.size)}
        trees: dict[tuple[int, int], tuple[tuple[Output, ...], list[Remainder]]] = {}
        for h, (owned, _) in enumerate(owners):
            span = next((s for s in spans if owned is None or _overlap(owned, s)), None)
            if span is None:
                continue
            extent = (span.start, span.stop)
            if owned is not None:
                extent = (max(owned.start, span.start), min(owned.stop, span.stop))
            if extent not in trees:
                index = () if whole and owned is None else (part, branch, number, h)
                trees[extent] = _tree(draft, index, group, owned, extent, whole)
            outputs, left = trees[extent]
            gradients[h] += outputs
            remainders[h] += left
    sums = _sums(draft, leaves) if len(owners) > 1 else ()
    return ReducedGradients(tuple(map(tuple, gradients)), tuple(map(tuple, remainders)), sums)


def _sums(draft: Draft, leaves: Sequence[Leaf]) -> tuple[Output, ...]:
    """Return the tree over the sums of loss and metrics that the last part of each track carries."""
    end = len(draft.partition.parts) - 1
    last = [leaf for leaf in leaves if leaf.part == end and leaf.branch == leaf.span == 0]
    each = [
        draft.section.add(_SUMS, "sums_of", (leaf.track,), draft.section.slot(leaf.value), leaf.value)
        for leaf in last
    ]
    return draft.tree(_REDUCE_SUMS, "reduce_sums", (), each, True)


def _tree(
    draft: Draft,
    index: Index,
    group: Sequence[Leaf],
    owned: Span | None,
    extent: tuple[int, int],
    whole: bool,
) -> tuple[tuple[Output, ...], list[Remainder]]:
    """Return the tree over some elements of the gradients of a group of leaves, and its remainders.

    Without compression there are no remainders.
    """
    kind = _GRADIENT if draft.layout.shards == 1 else _SHARD
    kind = kind._replace(axes=("part", "branch", "span", "owner")[: len(index)])
    if not draft.layout.compresses:
        picked = [_picked(draft, leaf, owned, extent, whole) for leaf in group]
        return draft.tree(kind, "reduce_gradient", index, picked, not whole), []
    sender = Sender(draft, kind.axes, index, owned, extent, len(group), not whole)
    values = [sender.send(leaf.value, 0, n, leaf.span) for n, leaf in enumerate(group)]
    return draft.tree(kind, "reduce_gradient", index, values, not whole, sender.send), sender.remainders


def _picked(draft: Draft, leaf: Leaf, owned: Span | None, extent: tuple[int, int], whole: bool) -> Output:
    """Return a track's gradient for an owner, cut out of the value where that is worth an operation."""
    bare = not draft.across_processes and draft.layout.shards == 1 and leaf.span == 0
    if bare or (whole and owned is None):
        return leaf.value
    index = (leaf.part, leaf.branch, leaf.span, leaf.track, *extent)
    slot = draft.section.slot(leaf.value)
    return draft.section.add(_PICK, "pick_gradient", index, slot, leaf.value, leaf.span, *extent)


def _overlap(one: Span, other: Span) -> bool:
    return one.place == other.place and one.start < other.stop and other.start < one.stop
