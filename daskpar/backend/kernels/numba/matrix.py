"""Products of matrices, which copy their operands into the order in which they are used.

The kernel is in `goto.py`. It runs on one core, where cores are shared among lanes; where they are not,
helpers do a part of the result (`crew.py`).
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from daskpar.backend import blas
from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.atomic import place_of
from daskpar.backend.kernels.numba.goto import packed_product
from daskpar.backend.kernels.numba.helper_threads import Crew, crew
from daskpar.backend.kernels.numba.orders import follow, wait
from daskpar.backend.kernels.numba.tiles import ROWS, WIDE
from daskpar.backend.kernels.numba.vectors import LANES

DEPTH = 1024  # at most, of the inner dimension at a time
_HELD = 128 * 1024  # numbers of a that stay in the second cache: 512 KB
_SHARED = 2_000_000  # multiplications from which on it is worth to share a product among cores
NOTHING = np.zeros(0, np.float32)

_held = threading.local()


class Operand(NamedTuple):
    """A matrix as a flat array, with the steps in it from row to row and from column to column."""

    numbers: np.ndarray
    row: int
    column: int


class After(NamedTuple):
    """Work on a product once it is summed: see `product`. Empty arrays stand for None."""

    bias: np.ndarray
    rectify: bool
    where: np.ndarray


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
    if not supports(a, b) or (narrow and blas.on_one_core()):
        return reference.product(a, b, out, bias, rectify, where)
    y = np.empty((rows, columns), np.float32) if out is None else out
    after = After(_flat_or_nothing(bias), rectify, _flat_or_nothing(where))
    shape, helpers = (rows, inner, columns), (blas.threads_in_force() or 1) - 1
    left, right, result = _flat(a), _flat(b), y.reshape(-1)
    if helpers and rows > ROWS * helpers and rows * inner * columns >= _SHARED:
        hands = crew(helpers)
        if hands.lock.acquire(blocking=False):
            try:
                _together(hands, shape, left, right, result, after)
            finally:
                hands.lock.release()
            return y
    packed_product(*left, *right, result, columns, *after, shape, *scratch(*shape))
    return y


def _together(
    helpers: Crew, shape: tuple[int, int, int], a: Operand, b: Operand, y: np.ndarray, after: After
) -> None:
    """A product of which everybody does some columns, or some rows where there are too few columns.

    Whoever does the same columns at each step has its part of the weights and of their gradient near.
    """
    (rows, inner, columns), hands = shape, helpers.helpers + 1
    by_columns = columns % (WIDE * hands) == 0
    extent, group = (columns, WIDE) if by_columns else (rows, ROWS)
    cuts = [min(extent, group * (-(-extent // group) * i // hands)) for i in range(hands + 1)]
    number, orders = int(helpers.done[0]) + 1, []
    for i, (first, stop) in enumerate(pairwise(cuts)):
        own = (rows, inner, stop - first) if by_columns else (stop - first, inner, columns)
        row, column = (0, first) if by_columns else (first, 0)
        high, depth, left, right = scratch(*own, who=i)
        to = row * columns + column
        first_operand = (*_from(a.numbers, row * a.row), a.row, a.column)
        second_operand = (*_from(b.numbers, column * b.column), b.row, b.column)
        result = (*_from(y, to), columns, _from(after.bias, column)[0], _from(after.where, to)[0])
        spaces = (high, depth, place_of(left), place_of(right))
        orders.append((*first_operand, *second_operand, *result, after.rectify, *own, *spaces))
    for place, order in zip(helpers.orders, orders[1:], strict=True):
        place[: len(order)] = order
    helpers.post(number)
    follow(np.array(orders[0], np.int64))
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


def supports(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether this kernel takes a product: on one core, of enough rows, of arrays that it supports.

    Without AVX-512 there are too few registers for it to be faster than BLAS.
    """
    plain = all((m.flags.c_contiguous or m.flags.f_contiguous) and m.flags.aligned for m in (a, b))
    told = blas.threads_in_force() is not None or blas.on_one_core()
    return len(a) >= ROWS and plain and LANES == 16 and told and a.dtype == b.dtype


def _flat_or_nothing(x: np.ndarray | None) -> np.ndarray:
    return NOTHING if x is None else np.ascontiguousarray(x).reshape(-1)


def _space(name: str, size: int) -> np.ndarray:
    """Scratch of this thread's own, kept for the next product."""
    held = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.float32)
        setattr(_held, name, held)
    return held


def _flat(matrix: np.ndarray) -> Operand:
    if matrix.flags.c_contiguous:
        return Operand(matrix.reshape(-1), matrix.shape[1], 1)
    return Operand(matrix.T.reshape(-1), 1, matrix.shape[0])
