"""Tiles of images: which rows each has and needs, worked out by hand for images of eight rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar.nn import registry
from daskpar.nn.operations import operations, shapes
from daskpar.nn.partition_rules import Window
from daskpar.nn.spatial import (
    Region,
    Rows,
    Strip,
    exchanges,
    needed,
    overlap,
    region,
    row_shares,
    strips,
    tile_program,
)

SAME: Any = {"conv2d": {"channels": 4, "padding": "same"}}
STACK = [SAME, "relu", SAME, {"max_pool": 2}, "flatten", {"dense": 10}]


def program(model: Any, shape: tuple[int, ...] = (8, 8, 1)) -> tuple[Any, Any]:
    ops = operations(registry.model(model), True)
    return ops, shapes(ops, shape)


@pytest.mark.parametrize(
    "height, tiles, expected", [(8, 2, [(0, 4), (4, 8)]), (7, 3, [(0, 2), (2, 4), (4, 7)]), (5, 1, [(0, 5)])]
)
def test_rows_are_shared_out_evenly(height: int, tiles: int, expected: list[tuple[int, int]]) -> None:
    assert [tuple(rows) for rows in row_shares(height, tiles)] == expected


@pytest.mark.parametrize(
    "window, rows, inside, edges",
    [
        (Window(1, 1, 0), (2, 5), (2, 5), (0, 0)),
        (Window(3, 1, 1), (0, 4), (0, 5), (1, 0)),  # a row of padding above
        (Window(3, 1, 1), (4, 8), (3, 8), (0, 1)),  # and one below
        (Window(3, 1, 0), (0, 3), (0, 5), (0, 0)),  # without padding
        (Window(2, 2, 0), (1, 3), (2, 6), (0, 0)),  # pooling in pairs
        (Window(5, 2, 2), (2, 4), (2, 8), (0, 1)),  # strides of two, two rows of padding
        (Window(3, 1, 3), (0, 1), (0, 0), (3, 0)),  # nothing but padding
    ],
)
def test_rows_that_output_rows_are_made_from(
    window: Window, rows: tuple[int, int], inside: tuple[int, int], edges: tuple[int, int]
) -> None:
    found, padding = needed(window, Rows(*rows), 8)
    assert (tuple(found), padding) == (inside, edges)


def test_the_region_is_the_first_run_that_needs_neighbours() -> None:
    ops, around = program(STACK)
    assert region(ops, around, 2) == Region(0, 4)
    assert exchanges(ops, around, Region(0, 4), 2) == [0, 2]  # the pool's pairs of rows are a tile's own
    assert region(*program(["relu", "flatten", {"dense": 3}]), 2) is None
    assert region(ops, around, 5) == Region(0, 3)  # the pool puts out four rows, too few for five tiles


def test_strips_have_own_rows_needed_rows_and_output_rows() -> None:
    ops, around = program(STACK)
    assert strips(ops, around, (2, 4), 2) == (
        Strip(Rows(0, 4), Rows(0, 5), Rows(0, 2)),
        Strip(Rows(4, 8), Rows(3, 8), Rows(2, 4)),
    )
    assert strips(ops, around, (1, 1), 2) == tuple(Strip(r, r, r) for r in (Rows(0, 4), Rows(4, 8)))


def test_a_tile_pads_where_the_image_ends_and_nowhere_else() -> None:
    ops, around = program(STACK)
    layers = [tile_program(ops, around, Region(0, 4), tile, 3)[0].layer for tile in range(3)]
    before, after = (3, 8, 1), (2, 8, 4)  # rows of the first tile of three, with one more below
    first, middle, last = layers
    assert first.init(np.random.default_rng(0), before)[1] == after
    assert middle.init(np.random.default_rng(0), (5, 8, 1))[1] == (3, 8, 4)
    assert last.init(np.random.default_rng(0), (4, 8, 1))[1] == (3, 8, 4)
    assert tile_program(ops, around, Region(0, 4), 0, 3)[4:] == tuple(ops[4:])


@pytest.mark.parametrize(
    "one, other, expected",
    [((0, 5), (3, 8), (3, 5)), ((0, 3), (3, 8), (3, 3)), ((0, 2), (5, 8), (5, 5)), ((1, 9), (3, 4), (3, 4))],
)
def test_overlap(one: tuple[int, int], other: tuple[int, int], expected: tuple[int, int]) -> None:
    assert overlap(Rows(*one), Rows(*other)) == Rows(*expected)
