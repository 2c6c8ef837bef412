"""Tasks that move rows of pixels between tiles, for spatial parallelism."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk
from daskpar.nn.spatial import Rows, Strip
from daskpar.tasks.types import Backward, Edge, Forward


def pick_rows(value: Chunk | Forward | Backward, rows: Rows) -> Chunk | Forward | Backward:
    """Pick rows of pixels of examples, of the outputs of a part, or of a gradient."""
    inside = (slice(None), slice(*rows))
    if isinstance(value, Chunk):
        return value._replace(x=value.x[inside])
    if isinstance(value, Forward):
        return value._replace(y=value.y[inside], saved=None)
    assert value.dx is not None
    return value._replace(dx=value.dx[inside])


def halo(value: Forward | Backward, start: int, rows: Rows) -> Edge:
    """Send a halo: return the `rows` that a neighbour needs, from a tile that begins at row `start`."""
    x = value.y if isinstance(value, Forward) else value.dx
    assert x is not None
    return Edge(rows.start, x[:, rows.start - start : rows.stop - start])


def with_halo(own: Forward, edges: Sequence[Edge], strip: Strip) -> Forward:
    """Return the input of a tile: its own rows and those that neighbours have sent."""
    x = own.y
    xp = array_module(x)
    space = xp.empty((len(x), strip.input.stop - strip.input.start, *x.shape[2:]), dtype=x.dtype)
    for edge in (Edge(strip.owned.start, x), *edges):
        into, rows = _common(space, strip.input, edge)
        into[...] = rows
    return own._replace(y=space)


def with_edges(own: Backward, edges: Sequence[Edge], strip: Strip) -> Backward:
    """Return the gradient of the rows that a tile owns: its own and those that neighbours have sent."""
    x = own.dx
    assert x is not None
    space = array_module(x).zeros((len(x), strip.owned.stop - strip.owned.start, *x.shape[2:]), dtype=x.dtype)
    for edge in (Edge(strip.input.start, x), *edges):
        into, rows = _common(space, strip.owned, edge)
        into += rows
    return own._replace(dx=space)


def stack_forward(*tiles: Forward) -> Forward:
    """Stack the outputs of all tiles to whole images."""
    first = tiles[0]
    return Forward(array_module(first.y).concatenate([tile.y for tile in tiles], axis=1), None, first.mask)


def stack_backward(height: int, rows: Sequence[Rows], *tiles: Backward) -> Backward:
    """Stack the gradients of all tiles to that of whole images of `height` rows.

    `rows` are the rows of each tile. Where they overlap, gradients are summed.
    """
    first = tiles[0].dx
    assert first is not None
    space = array_module(first).zeros((len(first), height, *first.shape[2:]), dtype=first.dtype)
    for (start, stop), tile in zip(rows, tiles, strict=True):
        space[:, start:stop] += tile.dx
    return Backward(space, ())


def _common(space: Array, has: Rows, edge: Edge) -> tuple[Any, Any]:
    """Return the views of the rows that an array of the rows `has` and an edge have in common."""
    start = max(has.start, edge.start)
    stop = max(start, min(has.stop, edge.start + edge.x.shape[1]))
    return space[:, start - has.start : stop - has.start], edge.x[:, start - edge.start : stop - edge.start]
