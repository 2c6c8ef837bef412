"""A model cut by rows of pixels: what each tile of an image needs, operation by operation.

Every tile has its even share of the rows of each operation's input. Where an output row is made from several
input rows, a tile needs some that its neighbours have, its *halo*:

    rows of the input     0 1 2 3 | 4 5 6 7
    tile 0 has            0 1 2 3              needs 0 1 2 3 4 for a convolution of kernel 3, and has
    tile 1 has                      4 5 6 7    padding above; tile 1 needs 3 4 5 6 7, and has padding below

Jin et al. 2018, "Spatially parallel convolutions"; Dryden et al. 2019, "Improving strong-scaling of CNN
training by exploiting finer-grained parallelism", sec. III.
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
"""The shapes of an example before and after each operation, as `program.shapes` gives them."""


class Rows(NamedTuple):
    """Rows of pixels `start` to `stop`."""

    start: int
    stop: int


class Strip(NamedTuple):
    """The input rows that a tile owns, those that it computes with, and its output rows."""

    owned: Rows
    input: Rows
    output: Rows


class Region(NamedTuple):
    """Operations `first` to `stop`, which are cut by rows of pixels."""

    first: int
    stop: int


def row_shares(height: int, tiles: int) -> list[Rows]:
    """The rows that each tile has of an image."""
    return [Rows(t * height // tiles, (t + 1) * height // tiles) for t in range(tiles)]


def needed(window: Window, rows: Rows, height: int) -> tuple[Rows, tuple[int, int]]:
    """The rows of an image that output `rows` are made from, and the rows of padding above and below."""
    start = rows.start * window.stride - window.before
    stop = (rows.stop - 1) * window.stride - window.before + window.size
    inside = Rows(min(max(start, 0), height), max(min(stop, height), 0))
    return inside, (max(0, -start), max(0, stop - height))


def region(program: Program, around: Around, tiles: int) -> Region | None:
    """The first run of operations that tiles can do side by side and of which one needs a halo.

    It neither begins nor ends within a residual, nor with an operation that shares statistics. None where
    there is no such run.
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
    """The places where a region may begin or end: nothing is held back there, and nothing gathered."""
    found, inside = [], 0
    for i, operation in enumerate(program):
        if inside == 0 and not operation.shares:
            found.append(i)
        inside += {"fork": 1, "join": -1}.get(operation.role, 0)
    return [*found, len(program)]


def _tiles(operation: Operation, before: Shape, after: Shape, tiles: int) -> bool:
    """Tell whether an operation can be done tile by tile, none of them being without work."""
    if len(before) != 3 or len(after) != 3:
        return False
    if operation.role != "run":
        return before[0] >= tiles
    window = operation.layer.window(before)
    if window is None or min(before[0], after[0]) < tiles:
        return False
    return all(rows.start < rows.stop for rows in _needs(operation, before, after, tiles))


def _reaches(operation: Operation, before: Shape) -> bool:
    """Tell whether an output row is made from more than one input row."""
    window = operation.layer.window(before) if operation.role == "run" else None
    return window is not None and (window.size > 1 or window.stride > 1)


def strips(program: Program, around: Around, span: tuple[int, int], tiles: int) -> tuple[Strip, ...]:
    """The strip of each tile for operations `span`, of which only the first may need a halo."""
    first, stop = span
    has = row_shares(around[first][0][0], tiles)
    if first == stop:
        return tuple(Strip(rows, rows, rows) for rows in has)
    gives = row_shares(around[stop - 1][1][0], tiles)
    return tuple(map(Strip, has, _needs(program[first], *around[first], tiles), gives))


def _needs(operation: Operation, before: Shape, after: Shape, tiles: int) -> list[Rows]:
    if operation.role != "run":
        return row_shares(before[0], tiles)
    window = operation.layer.window(before)
    assert window is not None
    return [needed(window, rows, before[0])[0] for rows in row_shares(after[0], tiles)]


def exchanges(program: Program, around: Around, where: Region, tiles: int) -> list[int]:
    """The operations of a region before which tiles need rows that others have."""
    return [
        i
        for i in range(*where)
        if _needs(program[i], *around[i], tiles) != row_shares(around[i][0][0], tiles)
    ]


def tile_program(
    program: Program, around: Around, where: Region, tile: int, tiles: int
) -> tuple[Operation, ...]:
    """The whole program as one tile sees it: within the region its own rows, the rest as it was."""
    found = list(program)
    for i in range(*where):
        if program[i].role == "run":
            before, after = around[i]
            window = program[i].layer.window(before)
            assert window is not None
            _, edges = needed(window, row_shares(after[0], tiles)[tile], before[0])
            found[i] = replace(program[i], layer=program[i].layer.tile(edges, before))
    return tuple(found)


def overlap(one: Rows, other: Rows) -> Rows:
    """The rows that both have; as many as none where there are none."""
    start = max(one.start, other.start)
    return Rows(start, max(start, min(one.stop, other.stop)))
