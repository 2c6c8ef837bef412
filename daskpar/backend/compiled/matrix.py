"""Products of matrices on one core, which copy their operands into the order in which they are used.

A Goto product (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"): DEPTH steps
of the inner dimension at a time, b in panels of WIDE columns, a in panels of ROWS rows, of which as many
as stay in a core's second cache; tiles of the result are summed in registers. What comes after a product, a
bias and a rectifier, is done to each tile while it is in the nearest cache.

For one core, since lanes are what cores are shared among; where a product is to use several, it is BLAS's.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba import njit, types

from daskpar.backend import blas, reference
from daskpar.backend.compiled.simd import (
    LANES,
    ROWS,
    copy_rows,
    load,
    maximum,
    multiply_far,
    multiply_one,
    multiply_two,
    splat,
    store,
    turn,
    where_positive,
)

WIDE = 2 * LANES
DEPTH = 1024  # at most, of the inner dimension at a time
_LINES = 32
_HELD = 128 * 1024  # numbers of a that stay in the second cache: 512 KB
_NOTHING = np.zeros(0, np.float32)

_scratch = threading.local()


def product(
    a: np.ndarray,
    b: np.ndarray,
    out: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    rectify: bool = False,
    where: np.ndarray | None = None,
) -> np.ndarray:
    rows, inner = a.shape
    columns = b.shape[1]
    if not _suits(a, b):
        return reference.product(a, b, out, bias, rectify, where)
    y = np.empty((rows, columns), np.float32) if out is None else out
    depth = -(-inner // -(-inner // DEPTH))
    high = min(-(-rows // ROWS) * ROWS, max(ROWS, _HELD // depth // ROWS * ROWS))
    left, right = _space("left", high * depth), _space("right", depth * -(-columns // WIDE) * WIDE)
    after = (_flat_or_nothing(bias), rectify, _flat_or_nothing(where))
    shape = (rows, inner, columns)
    _product(*_flat(a), *_flat(b), y.reshape(-1), *after, shape, high, depth, left, right)
    return y


def _suits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a product is one for this kernel: on one core, large enough, of arrays that it can take.

    Without AVX-512 there are too few registers for it to be faster than BLAS.
    """
    large = a.shape[0] >= ROWS and a.shape[1] >= LANES and b.shape[1] > LANES
    plain = all((m.flags.c_contiguous or m.flags.f_contiguous) and m.flags.aligned for m in (a, b))
    return large and plain and LANES == 16 and blas.on_one_core() and a.dtype == b.dtype


def _flat_or_nothing(x: np.ndarray | None) -> np.ndarray:
    return _NOTHING if x is None else np.ascontiguousarray(x).reshape(-1)


def _space(name: str, size: int) -> np.ndarray:
    """Scratch of this thread's own, kept for the next product."""
    held = getattr(_scratch, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.float32)
        setattr(_scratch, name, held)
    return held


def _flat(matrix: np.ndarray) -> tuple[Any, ...]:
    """(flat array, step from row to row, step from column to column)."""
    if matrix.flags.c_contiguous:
        return matrix.reshape(-1), matrix.shape[1], 1
    return matrix.T.reshape(-1), 1, matrix.shape[0]


@njit(inline="always")
def _pack(m, at, row, step, rows, depth, out, group):
    """Panels of `group` rows of a matrix, the numbers of each step along its depth side by side.

    Missing rows of the last panel are zero. `row`, `step`: from row to row, and along the depth.
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
        for start in range(0, depth, _LINES):  # a few rows of pages at a time
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
    """What is done to a tile of the result once it is summed."""
    for r in range(ROWS):
        for i in range(0, WIDE, LANES):
            value = load(y, at + r * row + i)
            if bias.size > 0:
                value = value + load(bias, column + i)
            if rectify:
                value = maximum(value, splat(np.float32(0)))
            if where.size > 0:
                value = where_positive(value, load(where, at + r * row + i))
            store(y, at + r * row + i, value)


@njit(inline="always")
def _put_edge(edge, lines, wide, y, to, columns, add, last, bias, column, rectify, where):
    """A tile that the result has only some lines and columns of."""
    for i in range(lines):
        for j in range(wide):
            at = to + i * columns + j
            value = edge[i * WIDE + j]
            if add:
                value += y[at]
            if last and bias.size > 0:
                value += bias[column + j]
            if last and rectify:
                value = max(value, np.float32(0))
            if last and where.size > 0 and not where[at] > 0:
                value = np.float32(0)
            y[at] = value


_GIVEN = types.Array(types.float32, 1, "C", readonly=True)  # which those that may be written to are, too
_ARRAY, _SHAPE = types.Array(types.float32, 1, "C"), types.UniTuple(types.intp, 3)
_OPERAND = (_GIVEN, types.intp, types.intp)
_AFTER = (_GIVEN, types.boolean, _GIVEN)


@njit(
    types.void(*_OPERAND, *_OPERAND, _ARRAY, *_AFTER, _SHAPE, types.intp, types.intp, _ARRAY, _ARRAY),
    nogil=True,
    cache=True,
    boundscheck=False,
)
def _product(
    a,
    a_row,
    a_step,
    b,
    b_step,
    b_column,
    y,
    bias,
    rectify,
    where,
    shape,
    high,
    depth,
    left,
    right,
):
    rows, inner, columns = shape
    edge = np.empty(ROWS * WIDE, np.float32)
    finish = rectify or bias.size > 0 or where.size > 0
    for at in range(0, inner, depth):
        deep = min(depth, inner - at)
        add, last = at > 0, at + deep == inner
        _pack(b, at * b_step, b_column, b_step, columns, deep, right, WIDE)
        for top in range(0, rows, high):
            tall = min(high, rows - top)
            _pack(a, top * a_row + at * a_step, a_row, a_step, tall, deep, left, ROWS)
            for column in range(0, columns, WIDE):
                wide, panel = min(WIDE, columns - column), column * deep
                for r in range(0, tall, ROWS):
                    lines, to, here = min(ROWS, tall - r), (top + r) * columns + column, r * deep
                    if lines == ROWS and wide == WIDE:
                        multiply_far(left, here, 1, ROWS, right, panel, WIDE, y, to, columns, deep, add)
                        if finish and last:
                            _finish(y, to, columns, bias, column, rectify, where)
                        continue
                    if wide > LANES:
                        multiply_two(left, here, 1, ROWS, right, panel, WIDE, edge, 0, WIDE, deep, False)
                    else:
                        multiply_one(left, here, 1, ROWS, right, panel, WIDE, edge, 0, WIDE, deep, False)
                    _put_edge(edge, lines, wide, y, to, columns, add, last, bias, column, rectify, where)
