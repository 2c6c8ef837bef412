"""Where the gradients of a step meet: a tree for each part of the model, and each holding that it concerns.

A part's tree begins when its own backward pass has ended, while those of the parts before it go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref
from daskpar.graph.flow import Leaf
from daskpar.graph.layout import Layout
from daskpar.graph.partition import Span
from daskpar.graph.reduce import add_tree
from daskpar.graph.spec import Spec
from daskpar.graph.wire import Residual, Wire


class Holding(NamedTuple):
    """Parameters and their optimizer state as one value: `span` of a place's, None for the whole model's.

    `lanes`: those that have a copy each.
    """

    span: Span | None
    lanes: tuple[int, ...]


class Met(NamedTuple):
    """Of a step, for each holding the keys of its gradients, and what rounding them has left out; `sums`: the
    key of the sums of loss and metrics, where gradients do not carry them."""

    gradients: tuple[tuple[Key, ...], ...]
    residuals: tuple[tuple[Residual, ...], ...]
    sums: Key


@dataclass(frozen=True)
class Trees:
    """Adds the trees of steps to a graph.

    `whole`: whether a lane's gradient is that of the whole model, in one task; `apart` as in `BaseBuilder`.
    """

    spec: Spec
    layout: Layout
    model: Key
    holdings: tuple[Holding, ...]
    whole: bool
    apart: bool

    def add(
        self, graph: Graph, step: int, leaves: Sequence[Leaf], goes_on: bool, file: tuple[str, str] | None
    ) -> Met:
        """Add the trees over the lanes' gradients. `goes_on`, `file`: where residuals are, as for `Wire`."""
        cut = self.spec.partition
        gradients: list[list[Key]] = [[] for _ in self.holdings]
        residuals: list[list[Residual]] = [[] for _ in self.holdings]
        groups: dict[tuple[int, int, int], list[Leaf]] = {}
        for leaf in leaves:
            branch = 0 if cut.parts[leaf.part].strips else leaf.branch  # tiles have one gradient between them
            groups.setdefault((leaf.part, branch, leaf.span), []).append(leaf)
        for (part, branch, number), group in groups.items():
            spans = {cut.parts[part].spans[leaf.branch][number] for leaf in group}
            if self.whole:
                spans = {Span(0, 0, self.spec.table.size)}
            trees: dict[tuple[int, int], tuple[tuple[Key, ...], list[Residual]]] = {}
            for h, (held, _) in enumerate(self.holdings):
                here = next((s for s in spans if held is None or _overlap(held, s)), None)
                if here is None:
                    continue
                extent = (max(held.start, here.start), min(held.stop, here.stop)) if held else here[1:]
                if extent not in trees:
                    index = () if self.whole and held is None else (part, branch, number, h)
                    trees[extent] = self._tree(graph, (step, *index), group, held, extent, goes_on, file)
                keys, left = trees[extent]
                gradients[h] += keys
                residuals[h] += left
        sums: Key = ()
        if len(self.holdings) > 1:
            last = [leaf for leaf in leaves if leaf.part == len(cut.parts) - 1 and leaf[1:3] == (0, 0)]
            each = [
                graph.add("sums", (step, leaf.lane), tasks.sums_of, Ref(leaf.key), lane=graph.lanes[leaf.key])
                for leaf in last
            ]
            places = [graph.lanes[leaf.key] for leaf in last]
            tree = (graph, "reduce-sums", (step,), each, places, self.layout.fan_in)
            (sums,) = add_tree(*tree, root=True, reduce=tasks.reduce_sums)
        return Met(tuple(map(tuple, gradients)), tuple(map(tuple, residuals)), sums)

    def _tree(
        self,
        graph: Graph,
        index: tuple[int, ...],
        group: Sequence[Leaf],
        held: Span | None,
        extent: tuple[int, int],
        goes_on: bool,
        file: tuple[str, str] | None,
    ) -> tuple[tuple[Key, ...], list[Residual]]:
        """The tree over some elements of the gradients of a group of leaves, rounded if the layout has it."""
        fan_in, root = self.layout.fan_in, not self.whole
        places = [graph.lanes[leaf.key] for leaf in group]
        name = "reduce-gradient" if self.layout.shards == 1 else "reduce-shard"
        tree = (graph, name, index)
        if not self.layout.rounds:
            keys = [self._picked(graph, index[0], leaf, held, extent) for leaf in group]
            return add_tree(*tree, keys, places, fan_in, root), []
        how = (len(group), fan_in, root, goes_on, file)
        wire = Wire(graph, self.model, index[0], index[1:], held, extent, *how)
        each = enumerate(zip(group, places, strict=True))
        keys = [wire.hand(leaf.key, at, 0, n, leaf.span) for n, (leaf, at) in each]
        return add_tree(*tree, keys, places, fan_in, root, hand=wire.hand), wire.residuals

    def _picked(self, graph: Graph, step: int, leaf: Leaf, held: Span | None, extent: tuple[int, int]) -> Key:
        """The key of a lane's gradient for a holding, and of nothing else where that is worth a task."""
        bare = not self.apart and self.layout.shards == 1 and leaf.span == 0
        if bare or (self.whole and held is None):
            return leaf.key
        index = (step, *leaf[:4], *extent)
        return graph.add(
            "pick-gradient",
            index,
            *(tasks.pick_gradient, Ref(leaf.key), leaf.span, *extent),
            lane=graph.lanes[leaf.key],
        )


def _overlap(one: Span, other: Span) -> bool:
    return one.place == other.place and one.start < other.stop and other.start < one.stop
