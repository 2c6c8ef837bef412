"""Adding reduction trees to a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, refs
from daskpar.graph.tree import levels


def add_tree(
    graph: Graph,
    operation: str,
    index: tuple[Any, ...],
    keys: Sequence[Key],
    places: Sequence[int],
    fan_in: int,
    root: bool = False,
    reduce: Callable[..., Any] = tasks.reduce_gradient,
    hand: Callable[[Key, int, int, int], Key] | None = None,
) -> tuple[Key, ...]:
    """Add the tree over `keys`, which lie at `places`; returns the keys of its last level, one with `root`.

    Each node is where the first of its leaves is. `hand(key, place of work, level, place)`: the key of a
    node's sum as it is handed on; the leaves are level 0.
    """
    below = list(keys)
    for nodes in levels(len(below), fan_in, root):
        above = []
        for node in nodes:
            inputs = [below[i] for i in node.inputs]
            at = places[node.inputs[0] * fan_in**node.level]
            where = (*index, node.level, node.place)
            if len(inputs) == 1:
                above.append(inputs[0])
                continue
            key = graph.add(operation, where, reduce, *refs(inputs), lane=at)
            above.append(key if hand is None else hand(key, at, node.level + 1, node.place))
        below = above
    return tuple(below)
