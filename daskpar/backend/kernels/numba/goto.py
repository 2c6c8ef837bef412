"""Matrix product with packed operands: y (rows, columns) = a (rows, inner) @ b (inner, columns).

The inner dimension is cut into blocks of `depth` steps. Of each block, b is copied to panels of WIDE columns,
and a to panels of ROWS rows, in the order in which the inner loop reads them:

    a (high, depth)                            b (depth, columns)
    ┌──────────────┐   panel 0: depth × ROWS   ┌──────┬──────┬──────┐
    ├──────────────┤   panel 1                 │ WIDE │ WIDE │ WIDE │   panels of depth × WIDE
    └──────────────┘   ...                     └──────┴──────┴──────┘

`high` rows of a are packed at once, so that they stay in the L2 cache. A tile (ROWS, WIDE) of y is summed in
registers. In the last block, bias, ReLU and mask are applied to the tile while it is in the L1 cache. Small
operands stay in the caches anyway and are not copied.

Reference:
    Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3).
"""

from __future__ import annotations

import numpy as np
from numba import types

from daskpar.backend.kernels.numba.atomic import array_at
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import at_least, load, splat, store, where_positive
from daskpar.backend.kernels.numba.tiles import (
    ROWS,
    WIDE,
    copy_rows,
    multiply_far,
    multiply_one,
    multiply_two,
    turn,
)
from daskpar.backend.kernels.numba.vectors import LANES

_LINES = 32  # lines of an operand that are packed at once
_NEAR = 320_000  # elements of an operand up to which it stays in the caches and is not packed
_FEW = 256  # rows of a up to which b is not packed, because each panel is read once per ROWS rows


@njit(inline="always")
def _pack(m, at, row, step, rows, depth, out, group):
    """Copy (rows, depth) of a matrix to panels (depth, group), with zeros for missing rows of the last.

    Element (i, k) is `m[at + i * row + k * step]`. It goes to panel i // group, line k, column i % group.
    """
    whole = rows - rows % group
    if step == 1:
        for first in range(0, whole, ROWS):
            here = at + first * row
            to = first // group * group * depth + first % group
            for k in range(0, depth - LANES + 1, LANES):
                turn(m, here + k, row, out, to + k * group, group)
            for k in range(depth - depth % LANES, depth):
                for i in range(ROWS):
                    out[to + k * group + i] = m[here + i * row + k]
    else:
        for start in range(0, depth, _LINES):  # a few memory pages at a time
            stop = min(depth, start + _LINES)
            for first in range(0, whole, group):
                for k in range(start, stop):
                    for i in range(0, group, ROWS):
                        copy_rows(m, at + k * step + first + i, out, first * depth + k * group + i)
    if whole < rows:
        to = whole * depth
        for i in range(group * depth):
            out[to + i] = np.float32(0)
        for i in range(rows - whole):
            for k in range(depth):
                out[to + k * group + i] = m[at + (whole + i) * row + k * step]


@njit(inline="always")
def _finish(y, at, row, bias, column, rectify, where):
    """Apply bias (columns,), ReLU and mask to a tile (ROWS, WIDE) of the result in place."""
    for r in range(ROWS):
        for i in range(0, WIDE, LANES):
            value = load(y, at + r * row + i)
            if bias.size > 0:
                value = value + load(bias, column + i)
            if rectify:
                value = at_least(value, splat(np.float32(0)))
            if where.size > 0:
                value = where_positive(value, load(where, at + r * row + i))
            store(y, at + r * row + i, value)


@njit(inline="always")
def _put_edge(edge, size, y, to, y_row, add, last, bias, column, rectify, where):
    """Write the part `size` of a tile (ROWS, WIDE) at the edge of the result, with bias, ReLU and mask."""
    for i in range(size[0]):
        for j in range(size[1]):
            at = to + i * y_row + j
            value = edge[i * WIDE + j]
            if add:
                value += y[at]
            if last and bias.size > 0:
                value += bias[column + j]
            if last and rectify and value < 0:
                value = np.float32(0)
            if last and where.size > 0 and not where[at] > 0:
                value = np.float32(0)
            y[at] = value


_GIVEN = types.Array(types.float32, 1, "C", readonly=True)  # also accepts writable arrays
_ARRAY, _SHAPE = types.Array(types.float32, 1, "C"), types.UniTuple(types.intp, 3)
_OPERAND = (_GIVEN, types.intp, types.intp)
_AFTER = (_GIVEN, types.boolean, _GIVEN)


@njit(
    types.void(
        *_OPERAND, *_OPERAND, _ARRAY, types.intp, *_AFTER, _SHAPE, types.intp, types.intp, _ARRAY, _ARRAY
    ),
    nogil=True,
    cache=True,
    boundscheck=False,
)
def packed_product(
    a,
    a_row,
    a_step,
    b,
    b_step,
    b_column,
    y,
    y_row,
    bias,
    rectify,
    where,
    shape,
    high,
    depth,
    left,
    right,
):
    """Write a @ b, with bias, ReLU and mask, to flat `y`, for matrices of `shape` (rows, inner, columns).

    Element (i, k) of a is `a[i * a_row + k * a_step]`, (k, j) of b is `b[k * b_step + j * b_column]`, and
    (i, j) of y is `y[i * y_row + j]`. An empty `bias` or `where` stands for none. `left` (high * depth) and
    `right` (depth * columns in whole tiles) are scratch.
    """
    rows, inner, columns = shape
    edge = np.empty(ROWS * WIDE, np.float32)
    finish = rectify or bias.size > 0 or where.size > 0
    a_is_used_as_it_is = rows % ROWS == 0 and rows * inner <= _NEAR
    b_near = rows <= _FEW and inner * columns <= _NEAR
    b_is_used_as_it_is = b_near and b_column == 1 and columns % WIDE == 0
    for at in range(0, inner, depth):
        deep = min(depth, inner - at)
        add, last = at > 0, at + deep == inner
        n, n_at, n_panel, n_step = right, 0, deep, WIDE
        if b_is_used_as_it_is:
            n, n_at, n_panel, n_step = array_at(b.ctypes.data, b.size), at * b_step, 1, b_step
        else:
            _pack(b, at * b_step, b_column, b_step, columns, deep, right, WIDE)
        for top in range(0, rows, high):
            tall = min(high, rows - top)
            m, m_at, m_panel, m_row, m_step = left, 0, deep, 1, ROWS
            if a_is_used_as_it_is:
                m, m_at = array_at(a.ctypes.data, a.size), top * a_row + at * a_step
                m_panel, m_row, m_step = a_row, a_row, a_step
            else:
                _pack(a, top * a_row + at * a_step, a_row, a_step, tall, deep, left, ROWS)
            for column in range(0, columns, WIDE):
                wide, panel = min(WIDE, columns - column), n_at + column * n_panel
                for r in range(0, tall, ROWS):
                    lines, to, here = min(ROWS, tall - r), (top + r) * y_row + column, m_at + r * m_panel
                    if lines == ROWS and wide == WIDE:
                        multiply_far(m, here, m_row, m_step, n, panel, n_step, y, to, y_row, deep, add)
                        if finish and last:
                            _finish(y, to, y_row, bias, column, rectify, where)
                        continue
                    if wide > LANES:
                        multiply_two(m, here, m_row, m_step, n, panel, n_step, edge, 0, WIDE, deep, False)
                    else:
                        multiply_one(m, here, m_row, m_step, n, panel, n_step, edge, 0, WIDE, deep, False)
                    size = (lines, wide)
                    _put_edge(edge, size, y, to, y_row, add, last, bias, column, rectify, where)
