"""Matrix products with the packed kernel of `goto.py`, on one core or with helper threads.

A lane uses one core if lanes share the cores. Otherwise helper threads compute parts of the result
(`helper_threads.py`): columns if there are enough, else rows.

    y   | thread 0 | helper 1 | helper 2 |     each with all rows and some columns
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

DEPTH = 1024  # largest block of the inner dimension
_HELD = 128 * 1024  # elements of a that stay in the L2 cache: 512 KB
_SHARED = 2_000_000  # multiplications from which on a product is shared among cores
NOTHING = np.zeros(0, np.float32)

_held = threading.local()


class Operand(NamedTuple):
    """Matrix as a flat array, with the strides in elements from row to row and from column to column."""

    numbers: np.ndarray
    row: int
    column: int


class After(NamedTuple):
    """Operations on the summed product, see `product`; empty arrays stand for None."""

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
    """Return a (rows, inner) @ b (inner, columns), with bias, ReLU and mask, as `reference.product` does."""
    rows, inner = a.shape
    columns = b.shape[1]
    narrow = inner < LANES or columns <= LANES  # BLAS is as fast then, but its threads would keep polling
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
    """Compute a product in which each thread does some columns, or some rows if there are few columns.

    A thread that does the same columns in each step keeps its part of the weights in its cache.
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
    """Return the address of element `index` of an array, and the number of elements from it on, or zeros."""
    return (place_of(array) + 4 * index, array.size - index) if array.size else (0, 0)


def scratch(rows: int, inner: int, columns: int, who: int = 0) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Return the block sizes of a product, (rows of a, steps of the inner dimension), and scratch arrays.

    The scratch arrays are for a and for b. `who` is the number of the thread that uses them, among those that
    work for this thread.
    """
    depth = -(-inner // -(-inner // DEPTH))
    high = min(-(-rows // ROWS) * ROWS, max(ROWS, _HELD // depth // ROWS * ROWS))
    left, right = high * depth, depth * -(-columns // WIDE) * WIDE
    return high, depth, _space(f"left{who}", left), _space(f"right{who}", right)


def supports(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether this kernel supports a product: enough rows, contiguous arrays, and a thread limit.

    Without AVX-512 the processor has too few registers for it to be faster than BLAS.
    """
    plain = all((m.flags.c_contiguous or m.flags.f_contiguous) and m.flags.aligned for m in (a, b))
    told = blas.threads_in_force() is not None or blas.on_one_core()
    return len(a) >= ROWS and plain and LANES == 16 and told and a.dtype == b.dtype


def _flat_or_nothing(x: np.ndarray | None) -> np.ndarray:
    return NOTHING if x is None else np.ascontiguousarray(x).reshape(-1)


def _space(name: str, size: int) -> np.ndarray:
    """Return a scratch array of this thread, which is kept for the next product."""
    held = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.float32)
        setattr(_held, name, held)
    return held


def _flat(matrix: np.ndarray) -> Operand:
    if matrix.flags.c_contiguous:
        return Operand(matrix.reshape(-1), matrix.shape[1], 1)
    return Operand(matrix.T.reshape(-1), 1, matrix.shape[0])
