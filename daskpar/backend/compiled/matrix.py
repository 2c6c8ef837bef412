"""Products of matrices, which copy their operands into the order in which they are used.

A Goto product (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"): DEPTH steps
of the inner dimension at a time, b in panels of WIDE columns, a in panels of ROWS rows, of which as many
as stay in a core's second cache; tiles of the result are summed in registers. What comes after a product, a
bias and a rectifier, is done to each tile while it is in the nearest cache.

Operands that are near anyway are used in the order in which they lie. On one core, where cores are shared
among lanes; where they are not, helpers do a part of the result (`crew.py`).
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
from numba import types

from daskpar.backend import blas, reference
from daskpar.backend.compiled.crew import APART, Crew, array_at, crew, place_of, seen, tell
from daskpar.backend.compiled.kept import njit
from daskpar.backend.compiled.simd import (
    LANES,
    ROWS,
    WIDE,
    at_least,
    copy_rows,
    load,
    multiply_far,
    multiply_one,
    multiply_two,
    splat,
    store,
    turn,
    where_positive,
)

DEPTH = 1024  # at most, of the inner dimension at a time
_LINES = 32
_HELD = 128 * 1024  # numbers of a that stay in the second cache: 512 KB
_NEAR = 320_000  # numbers of an operand that is near enough to be used in the order in which it lies
_FEW = 256  # rows of a up to which it is not worth to copy b, which is used once for ROWS of them
_SHARED = 2_000_000  # multiplications from which on it is worth to share a product among cores
_NOTHING = np.zeros(0, np.float32)

_held = threading.local()


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
    narrow = inner < LANES or columns <= LANES  # which BLAS does as well, but its threads would stay awake
    if not suits(a, b) or (narrow and blas.on_one_core()):
        return reference.product(a, b, out, bias, rectify, where)
    y = np.empty((rows, columns), np.float32) if out is None else out
    after = (_flat_or_nothing(bias), rectify, _flat_or_nothing(where))
    shape, helpers = (rows, inner, columns), (blas.threads_in_force() or 1) - 1
    given = (*_flat(a), *_flat(b), y.reshape(-1))
    if helpers and rows > ROWS * helpers and rows * inner * columns >= _SHARED:
        hands = crew(helpers)
        if hands.lock.acquire(blocking=False):
            try:
                _together(hands, shape, given, after)
            finally:
                hands.lock.release()
            return y
    _product(*given, columns, *after, shape, *scratch(*shape))
    return y


def _together(
    helpers: Crew, shape: tuple[int, int, int], operands: tuple[Any, ...], after: tuple[Any, ...]
) -> None:
    """A product of which everybody does some columns, or some rows where there are too few columns.

    Whoever does the same columns at each step has its part of the weights and of their gradient near.
    """
    (rows, inner, columns), hands = shape, helpers.helpers + 1
    a, a_row, a_step, b, b_step, b_column, y = operands
    bias, rectify, where = after
    by_columns = columns % (WIDE * hands) == 0
    extent, group = (columns, WIDE) if by_columns else (rows, ROWS)
    cuts = [min(extent, group * (-(-extent // group) * i // hands)) for i in range(hands + 1)]
    number, orders = int(helpers.done[0]) + 1, []
    for i, (first, stop) in enumerate(pairwise(cuts)):
        own = (rows, inner, stop - first) if by_columns else (stop - first, inner, columns)
        row, column = (0, first) if by_columns else (first, 0)
        high, depth, left, right = scratch(*own, who=i)
        to = row * columns + column
        operand = (*_from(a, row * a_row), a_row, a_step, *_from(b, column * b_column), b_step, b_column)
        result = (*_from(y, to), columns, _from(bias, column)[0], _from(where, to)[0], rectify)
        orders.append((*operand, *result, *own, high, depth, place_of(left), place_of(right)))
    for place, order in zip(helpers.orders, orders[1:], strict=True):
        place[: len(order)] = order
    helpers.post(number)
    _follow(np.array(orders[0], np.int64))
    wait(helpers.done, number)


def _from(array: np.ndarray, index: int) -> tuple[int, int]:
    """(where element `index` of an array lies, how many follow), zeros for no array."""
    return (place_of(array) + 4 * index, array.size - index) if array.size else (0, 0)


def scratch(rows: int, inner: int, columns: int, who: int = 0) -> tuple[int, int, np.ndarray, np.ndarray]:
    """(rows of a at once, steps of the inner dimension at once, space for these, space for b).

    `who`: of several that work for this thread at once, each has a number.
    """
    depth = -(-inner // -(-inner // DEPTH))
    high = min(-(-rows // ROWS) * ROWS, max(ROWS, _HELD // depth // ROWS * ROWS))
    left, right = high * depth, depth * -(-columns // WIDE) * WIDE
    return high, depth, _space(f"left{who}", left), _space(f"right{who}", right)


def suits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a product may be one for this kernel: on one core, of enough rows, of arrays that it can take.

    Without AVX-512 there are too few registers for it to be faster than BLAS.
    """
    plain = all((m.flags.c_contiguous or m.flags.f_contiguous) and m.flags.aligned for m in (a, b))
    told = blas.threads_in_force() is not None or blas.on_one_core()
    return len(a) >= ROWS and plain and LANES == 16 and told and a.dtype == b.dtype


def _flat_or_nothing(x: np.ndarray | None) -> np.ndarray:
    return _NOTHING if x is None else np.ascontiguousarray(x).reshape(-1)


def _space(name: str, size: int) -> np.ndarray:
    """Scratch of this thread's own, kept for the next product."""
    held = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.float32)
        setattr(_held, name, held)
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
                value = at_least(value, splat(np.float32(0)))
            if where.size > 0:
                value = where_positive(value, load(where, at + r * row + i))
            store(y, at + r * row + i, value)


@njit(inline="always")
def _put_edge(edge, size, y, to, y_row, add, last, bias, column, rectify, where):
    """A tile that the result has only some lines and columns of."""
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


_GIVEN = types.Array(types.float32, 1, "C", readonly=True)  # which those that may be written to are, too
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
def _product(
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


@njit(nogil=True, cache=True, boundscheck=False)
def _follow(order):
    """Do the product that an order tells of."""
    a_at, a_size, a_row, a_step, b_at, b_size, b_step, b_column, y_at, y_size, y_row = order[:11]
    bias, where, rectify, rows, inner, columns, high, depth, left, right = order[11:21]
    _product(
        array_at(a_at, a_size),
        a_row,
        a_step,
        array_at(b_at, b_size),
        b_step,
        b_column,
        array_at(y_at, y_size),
        y_row,
        array_at(bias, columns),
        rectify != 0,
        array_at(where, y_size),
        (rows, inner, columns),
        high,
        depth,
        array_at(left, high * depth),
        array_at(right, depth * (-(-columns // WIDE) * WIDE)),
    )


@njit(nogil=True, cache=True, boundscheck=False)
def serve(order, posted, done, at, last, looks):
    """Do what is ordered of a helper, until there is nothing for so many looks; the last order's number."""
    while True:
        left = looks
        while seen(posted, at) == last:
            left -= 1
            if left == 0:
                return last
        last += 1
        _follow(order)
        tell(done, at, last)


@njit(nogil=True, cache=True)
def wait(done, number):
    """Until all helpers are done with an order."""
    for at in range(0, done.size, APART):
        while seen(done, at) < number:
            pass
