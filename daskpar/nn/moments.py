"""Mean, squared distances and count of the values of each channel, about points where nothing cancels.

Moments are arrays (3, channels): the mean less a pivot, Σ(x − mean)², and the count. Those of several chunks
with one pivot are put together by `combine`, whichever way the rows were cut.
"""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module


def moments_about(pivot: Array, x: Array, mask: Array | None) -> Array:
    """The moments of `x` (rows, ..., channels); positions outside of `mask` do not count."""
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
    """The moments of several chunks as of one, in the order given (Chan, Golub and LeVeque 1983)."""
    total = gathered[0]
    xp = array_module(total)
    for other in gathered[1:]:
        count = xp.maximum(total[2] + other[2], 1)
        step, share = other[0] - total[0], other[2] / count
        squares = total[1] + other[1] + step * step * (total[2] * share)
        total = xp.stack([total[0] + step * share, squares, total[2] + other[2]])
    return total


def count_of(x: Array, mask: Array | None) -> Array | int:
    """The number of values of each channel that count."""
    return float(math.prod(x.shape[:-1])) if mask is None else mask.sum(dtype=x.dtype)


def spread(vector: Array, x: Array) -> Array:
    """A (channels,) vector in the shape of an example of `x`: loops over whole examples, not channels, are
    three times as fast."""
    return array_module(vector).tile(vector, (*x.shape[1:-1], 1))


def summed(x: Array, axis: int = 0) -> Array:
    """The sum over all axes from `axis` to the last but one.

    One axis after the other: ten times as fast as all of them at once where channels are few, and less is
    lost to rounding.
    """
    while x.ndim > axis + 1:
        x = x.sum(axis=axis)
    return x
