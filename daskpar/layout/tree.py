"""The reduction tree: its shape follows from the number of lanes alone.

Nine lanes with a fan-in of 4 are added in two tasks:

    lanes      0   1   2   3     4   5   6   7     8
               └───┴─┬─┴───┘     └───┴─┬─┴───┘     │
    level 0          0                 1           2

Node 2 has a single input: it is no task, and passes the value of lane 8. The last level, at most `fan_in`
values, is not added by a task of its own: the tasks that need the sum add it, which saves a hop.

The shape, and so every rounding, is the same on any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Node(NamedTuple):
    """One node of the tree, number `place` of its level; it adds the `inputs`, places of the level below."""

    level: int
    place: int
    inputs: range


def levels(leaves: int, fan_in: int, root: bool = False) -> Iterator[list[Node]]:
    """Yield the levels of the tree over `leaves` values, until at most `fan_in` values are left.

    With `root` the tree goes on until one value is left. A node with a single input passes that value.

    Example:
        >>> [[len(node.inputs) for node in nodes] for nodes in levels(9, 4)]
        [[4, 4, 1]]
    """
    level = 0
    while leaves > (1 if root else fan_in):
        nodes = [
            Node(level, i, range(i * fan_in, min((i + 1) * fan_in, leaves)))
            for i in range(-(-leaves // fan_in))
        ]
        yield nodes
        leaves, level = len(nodes), level + 1


def hops(leaves: int, fan_in: int) -> int:
    """Return the number of tasks on a step's longest chain: one, and one more for each level of the tree."""
    return 1 + sum(1 for _ in levels(leaves, fan_in))
