"""Orders for products: lines of numbers that a helper reads and follows in machine code."""

from __future__ import annotations

from daskpar.backend.compiled.atomic import APART, array_at, seen, tell
from daskpar.backend.compiled.goto import packed_product
from daskpar.backend.compiled.kernel_cache import njit
from daskpar.backend.compiled.tiles import WIDE


@njit(nogil=True, cache=True, boundscheck=False)
def follow(order):
    """Do the product that an order tells of."""
    a_at, a_size, a_row, a_step, b_at, b_size, b_step, b_column, y_at, y_size, y_row = order[:11]
    bias, where, rectify, rows, inner, columns, high, depth, left, right = order[11:21]
    packed_product(
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
        follow(order)
        tell(done, at, last)


@njit(nogil=True, cache=True)
def wait(done, number):
    """Until all helpers are done with an order."""
    for at in range(0, done.size, APART):
        while seen(done, at) < number:
            pass
