"""The reduction tree: who adds what, from the lanes' numbers alone.

With a fan-in of 4, nine lanes meet like this; the last level (at most `fan_in` values) is left to whoever
needs the sum, which saves a hop:

    0 1 2 3   4 5 6 7   8        lanes
     \\_|_|_/   \\_|_|_/   |
        0         1      2        level 0: values that ride in the next step

The shape, and with it every rounding, is the same wherever the tasks run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Node(NamedTuple):
    """One task of the tree, `place` on its level: adds `inputs`, which are places on the level below."""

    level: int
    place: int
    inputs: range


def levels(leaves: int, fan_in: int, root: bool = False) -> Iterator[list[Node]]:
    """The levels of the tree over `leaves` values, until at most `fan_in` are left; to one with `root`.

    A node over a single value is part of its level, and passes that value on.
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
    """Hops of a step with the last level riding along: 1 up to the fan-in, one more a level beyond."""
    return 1 + sum(1 for _ in levels(leaves, fan_in))
