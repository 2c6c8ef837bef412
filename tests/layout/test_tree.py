"""The reduction tree, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from daskpar.layout.tree import hops, levels


def shape(leaves: int, fan_in: int, root: bool = False) -> list[list[tuple[int, ...]]]:
    return [[tuple(node.inputs) for node in level] for level in levels(leaves, fan_in, root)]


@pytest.mark.parametrize(
    "leaves, fan_in, root, expected",
    [
        (1, 4, False, []),
        (4, 4, False, []),
        (4, 4, True, [[(0, 1, 2, 3)]]),
        (5, 4, False, [[(0, 1, 2, 3), (4,)]]),
        (9, 4, False, [[(0, 1, 2, 3), (4, 5, 6, 7), (8,)]]),
        (9, 4, True, [[(0, 1, 2, 3), (4, 5, 6, 7), (8,)], [(0, 1, 2)]]),
        (5, 2, False, [[(0, 1), (2, 3), (4,)], [(0, 1), (2,)]]),
    ],
)
def test_shape(leaves: int, fan_in: int, root: bool, expected: list[list[tuple[int, ...]]]) -> None:
    assert shape(leaves, fan_in, root) == expected


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 300), st.integers(2, 9), st.booleans())
def test_every_leaf_is_added_once_in_order(leaves: int, fan_in: int, root: bool) -> None:
    below: list[tuple[int, ...]] = [(i,) for i in range(leaves)]
    for level in levels(leaves, fan_in, root):
        assert all(1 <= len(node.inputs) <= fan_in for node in level)
        below = [tuple(leaf for i in node.inputs for leaf in below[i]) for node in level]
    assert len(below) <= (1 if root else fan_in)
    assert [leaf for part in below for leaf in part] == list(range(leaves))


@pytest.mark.parametrize("leaves, expected", [(1, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3), (65, 4)])
def test_one_hop_up_to_the_fan_in(leaves: int, expected: int) -> None:
    assert hops(leaves, 4) == expected
