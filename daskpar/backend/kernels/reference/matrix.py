"""Products of matrices, and what is done to them on the way."""

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
    """a·b of a (rows, inner) and b (inner, columns), plus `bias` (columns,).

    With `rectify` what is below zero becomes zero; with `where`, shaped like the product, what stands where
    that is not above zero. `out`: an array to write into, and to return.
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
