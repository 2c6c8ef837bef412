"""Matrix products, optionally with a bias, ReLU and a mask."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def product(
    a: Array,
    b: Array,
    out: Array | None = None,
    bias: Array | None = None,
    rectify: bool = False,
    where: Array | None = None,
) -> Array:
    """Return the matrix product of `a` (rows, inner) and `b` (inner, columns), plus a bias.

    Args:
        a: Left matrix (rows, inner).
        b: Right matrix (inner, columns).
        out: Array for the result (rows, columns). None allocates one.
        bias: Added to each row (columns,). None: no bias.
        rectify: Apply ReLU.
        where: Set the product to zero where this array (rows, columns) is not above zero. None: nowhere.
    """
    xp = array_module(a)
    y = xp.matmul(a, b, out=out)
    if bias is not None:
        y += bias
    if rectify:
        xp.maximum(y, 0, out=y)
    if where is not None:
        y *= where > 0
    return y
