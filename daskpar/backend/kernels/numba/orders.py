"""Orders of matrix products: lines of int64 numbers that a helper thread reads in machine code.

    a: address size row step | b: address size step column | y: address size row | bias where rectify
    rows inner columns | high depth | left right

`bias`, `where`, `left` and `right` are addresses; see `goto.packed_product` for all of them.
"""

from __future__ import annotations

from daskpar.backend.kernels.numba.atomic import APART, array_at, seen, tell
from daskpar.backend.kernels.numba.goto import packed_product
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.tiles import WIDE


@njit(nogil=True, cache=True, boundscheck=False)
def follow(order):
    """Compute the product of an order (fields,)."""
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
    """Execute orders until `looks` polls in a row find none, and return the number of the last order."""
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
    """Wait until all helpers have finished order `number`."""
    for at in range(0, done.size, APART):
        while seen(done, at) < number:
            pass
