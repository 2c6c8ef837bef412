"""Max pooling: the largest value of each window of an image."""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.convolution import Geometry, Pair, extent, inside, surround, taps


def max_pool(x: Array, size: Pair, how: Geometry) -> tuple[Array, Array]:
    """Return the maxima (rows, height', width', channels) and the number of the tap of each (uint8).

    `x` is (rows, height, width, channels), `size` the height and width of a window, `how` the geometry. Taps
    are numbered along the rows of the window.
    """
    xp = array_module(x)
    padded = surround(x, how, -math.inf)
    out = how.output(x.shape[1:3], size)
    y: Array = None
    where: Array = None
    for i, j, places in taps(size, out, how):
        value = padded[places]
        if y is None:
            y, where = value.copy(), xp.zeros(value.shape, dtype="uint8")
            continue
        larger = value > y
        y = xp.where(larger, value, y)
        where = xp.where(larger, where.dtype.type(i * size[1] + j), where)
    return y, where


def max_pool_backward(dy: Array, where: Array, image: Pair, size: Pair, how: Geometry) -> Array:
    """Return the input gradient (rows, *image, channels): each `dy` is added at the pixel of its maximum.

    `where` are the tap numbers that `max_pool` returned.
    """
    xp = array_module(dy)
    dx = xp.zeros((dy.shape[0], *extent(image, how), dy.shape[3]), dtype=dy.dtype)
    for i, j, places in taps(size, dy.shape[1:3], how):
        dx[places] += dy * (where == i * size[1] + j)
    return xp.ascontiguousarray(inside(dx, image, how))
