"""Spatial parallelism: a model is cut by rows of pixels, and each task computes one tile of the images.

Each tile owns an equal share of the rows of each operation's input. If an output row depends on several input
rows, a tile needs some rows that its neighbours own, its *halo*:

    rows of the input     0 1 2 3 | 4 5 6 7        for a convolution of kernel 3:
    tile 0 owns           0 1 2 3                  needs 0 1 2 3 4, and padding above
    tile 1 owns                     4 5 6 7        needs 3 4 5 6 7, and padding below

Reference:
    Jin et al. 2018, "Spatially parallel convolutions". Dryden et al. 2019, "Improving strong-scaling of CNN
    training by exploiting finer-grained parallelism", section III.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from daskpar.nn.layer import Shape
from daskpar.nn.operations import Operation, Program
from daskpar.nn.partition_rules import Window

Around = Sequence[tuple[Shape, Shape]]
"""The shapes of an example before and after each operation, from `operations.shapes`."""


class Rows(NamedTuple):
    """Rows of pixels from `start` to before `stop`."""

    start: int
    stop: int


class Strip(NamedTuple):
    """The input rows that a tile owns, those that it computes with, and its output rows."""

    owned: Rows
    input: Rows
    output: Rows


class Region(NamedTuple):
    """Operations from `first` to before `stop`, which are cut by rows of pixels."""

    first: int
    stop: int


def row_shares(height: int, tiles: int) -> list[Rows]:
    """Return the rows of an image that each tile owns."""
    return [Rows(t * height // tiles, (t + 1) * height // tiles) for t in range(tiles)]


def needed(window: Window, rows: Rows, height: int) -> tuple[Rows, tuple[int, int]]:
    """Return the input rows on which output `rows` depend, and the rows of padding (above, below)."""
    start = rows.start * window.stride - window.before
    stop = (rows.stop - 1) * window.stride - window.before + window.size
    inside = Rows(min(max(start, 0), height), max(min(stop, height), 0))
    return inside, (max(0, -start), max(0, stop - height))


def region(program: Program, around: Around, tiles: int) -> Region | None:
    """Return the first sequence of operations that can be computed tile by tile and needs a halo, or None.

    It neither begins nor ends within a residual, nor with an operation that shares statistics.
    """
    run: list[int] = []
    for first, stop in [*pairwise(_level(program)), (len(program), len(program))]:
        unit = range(first, stop)
        if unit and all(_tiles(program[i], *around[i], tiles) for i in unit):
            run += unit
        elif any(_reaches(program[i], around[i][0]) for i in run):
            return Region(run[0], run[-1] + 1)
        else:
            run = []
    return None


def _level(program: Program) -> list[int]:
    """Return the operations before which a region may begin or end: not in a residual, not shared."""
    boundaries, inside = [], 0
    for i, operation in enumerate(program):
        if inside == 0 and not operation.shares:
            boundaries.append(i)
        inside += {"fork": 1, "join": -1}.get(operation.role, 0)
    return [*boundaries, len(program)]


def _tiles(operation: Operation, before: Shape, after: Shape, tiles: int) -> bool:
    """Return whether an operation can be computed tile by tile, with work for every tile."""
    if len(before) != 3 or len(after) != 3:
        return False
    if operation.role != "run":
        return before[0] >= tiles
    window = operation.layer.window(before)
    if window is None or min(before[0], after[0]) < tiles:
        return False
    return all(rows.start < rows.stop for rows in _needs(operation, before, after, tiles))


def _reaches(operation: Operation, before: Shape) -> bool:
    """Return whether an output row depends on more than one input row."""
    window = operation.layer.window(before) if operation.role == "run" else None
    return window is not None and (window.size > 1 or window.stride > 1)


def strips(program: Program, around: Around, span: tuple[int, int], tiles: int) -> tuple[Strip, ...]:
    """Return the strip of each tile for operations `span`. Only the first of them may need a halo."""
    first, stop = span
    owned = row_shares(around[first][0][0], tiles)
    if first == stop:
        return tuple(Strip(rows, rows, rows) for rows in owned)
    outputs = row_shares(around[stop - 1][1][0], tiles)
    return tuple(map(Strip, owned, _needs(program[first], *around[first], tiles), outputs))


def _needs(operation: Operation, before: Shape, after: Shape, tiles: int) -> list[Rows]:
    """Return the input rows that each tile needs for an operation."""
    if operation.role != "run":
        return row_shares(before[0], tiles)
    window = operation.layer.window(before)
    assert window is not None
    return [needed(window, rows, before[0])[0] for rows in row_shares(after[0], tiles)]


def exchanges(program: Program, around: Around, area: Region, tiles: int) -> list[int]:
    """Return the operations of a region before which tiles need rows of other tiles."""
    return [
        i for i in range(*area) if _needs(program[i], *around[i], tiles) != row_shares(around[i][0][0], tiles)
    ]


def tile_program(
    program: Program, around: Around, area: Region, tile: int, tiles: int
) -> tuple[Operation, ...]:
    """Return the program of one tile: its own rows within the region, all else unchanged."""
    operations = list(program)
    for i in range(*area):
        if program[i].role == "run":
            before, after = around[i]
            window = program[i].layer.window(before)
            assert window is not None
            _, edges = needed(window, row_shares(after[0], tiles)[tile], before[0])
            operations[i] = replace(program[i], layer=program[i].layer.tile(edges, before))
    return tuple(operations)


def overlap(one: Rows, other: Rows) -> Rows:
    """Return the rows that are in both; an empty range if there are none."""
    start = max(one.start, other.start)
    return Rows(start, max(start, min(one.stop, other.stop)))
