"""Winograd's transforms of tiles, on vectors of channels: F(2×2, 3×3) down, F(4, 3) across.

Down, a tile of 2 rows of outputs comes from 4 rows of inputs, and the polynomials are evaluated at the points
0, 1, -1 and infinity; across, 4 columns come from 6 at 0, ±3/4, ±3/2 and infinity. Aᵀ, Bᵀ and G are those of
Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", sec. 4. Points so near to each
other, instead of 0, ±1 and ±2, halve the rounding error (Barabasz et al. 2020, "Error analysis and improving
the accuracy of Winograd convolution for deep neural networks").
"""

from __future__ import annotations

import numpy as np
from numba import njit

from daskpar.backend.compiled.simd import LANES, fma, load, splat, store

TALL, WIDE = 2, 4
"""Height and width of a tile of outputs."""
HIGH, BROAD = TALL + 2, WIDE + 2
"""Height and width of the tile of inputs that it comes from."""
PLANES = HIGH * BROAD
"""Products for every tile, input channel and output channel; 3·3·TALL·WIDE without the transforms."""

_NEAR, _FAR = 0.75, 1.5  # the points across
DOWN = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_POINTS = np.array([0, _NEAR, -_NEAR, _FAR, -_FAR])
_APART = (_POINTS[:, None] - _POINTS + np.eye(5)).prod(axis=1, keepdims=True)
ACROSS = np.vstack([_POINTS[:, None] ** np.arange(3) / _APART, [0, 0, 1]])
"""G, which takes the three taps of a kernel to the points, down and across."""

_P, _Q = np.float32(_NEAR), np.float32(_FAR)
_PP, _QQ, _PPP, _QQQ = _P * _P, _Q * _Q, _P * _P * _P, _Q * _Q * _Q  # none of these is rounded
_PPQQ, _SUM = _PP * _QQ, _PP + _QQ
_PQQ, _PPQ = _P * _QQ, _PP * _Q
_ZERO = np.float32(0)


@njit(inline="always")
def _down(a, b, c, d):
    """Bᵀ of four numbers."""
    return a - c, b + c, c - b, b - d


@njit(inline="always")
def _across(a, b, c, d, e, f):
    """Bᵀ of six numbers."""
    high, low = fma(splat(-_QQ), c, e), fma(splat(-_PP), c, e)
    near, far = splat(_P) * fma(splat(-_QQ), b, d), splat(_Q) * fma(splat(-_PP), b, d)
    first = fma(splat(_PPQQ), a, fma(splat(-_SUM), c, e))
    last = fma(splat(_PPQQ), b, fma(splat(-_SUM), d, f))
    return first, high + near, high - near, low + far, low - far, last


@njit(inline="always")
def _column(x, at, row):
    """Bᵀ of the four pixels down from x[at]."""
    return _down(load(x, at), load(x, at + row), load(x, at + 2 * row), load(x, at + 3 * row))


@njit(inline="always")
def _store_row(out, at, step, six):
    store(out, at, six[0])
    store(out, at + step, six[1])
    store(out, at + 2 * step, six[2])
    store(out, at + 3 * step, six[3])
    store(out, at + 4 * step, six[4])
    store(out, at + 5 * step, six[5])


@njit(inline="always")
def _store_column(out, at, step, upper, lower):
    store(out, at, upper)
    store(out, at + 6 * step, upper + lower)
    store(out, at + 12 * step, upper - lower)
    store(out, at + 18 * step, splat(_ZERO) - lower)


@njit(inline="always")
def input_tile(x, at, row, channels, out, there, step):
    """Bᵀ·d·B of the tile at x[at] into planes of `out`, `step` elements apart."""
    for c in range(0, channels, LANES):
        here = at + c
        p, q = _column(x, here, row), _column(x, here + channels, row)
        r, s = _column(x, here + 2 * channels, row), _column(x, here + 3 * channels, row)
        t, u = _column(x, here + 4 * channels, row), _column(x, here + 5 * channels, row)
        _store_row(out, there + c, step, _across(p[0], q[0], r[0], s[0], t[0], u[0]))
        _store_row(out, there + c + 6 * step, step, _across(p[1], q[1], r[1], s[1], t[1], u[1]))
        _store_row(out, there + c + 12 * step, step, _across(p[2], q[2], r[2], s[2], t[2], u[2]))
        _store_row(out, there + c + 18 * step, step, _across(p[3], q[3], r[3], s[3], t[3], u[3]))


@njit(inline="always")
def _upper(m, at, row):
    return load(m, at) + load(m, at + row) + load(m, at + 2 * row)


@njit(inline="always")
def _lower(m, at, row):
    return load(m, at + row) - load(m, at + 2 * row) - load(m, at + 3 * row)


@njit(inline="always")
def _store_outputs(y, at, units, shift, a, b, c, d, e, f):
    """Aᵀ of six numbers, plus `shift`, as four pixels of `units` channels."""
    near, far, close, wide = b + c, d + e, b - c, d - e
    store(y, at, a + near + far + shift)
    store(y, at + units, fma(splat(_P), close, fma(splat(_Q), wide, shift)))
    store(y, at + 2 * units, fma(splat(_PP), near, fma(splat(_QQ), far, shift)))
    store(y, at + 3 * units, fma(splat(_PPP), close, fma(splat(_QQQ), wide, f + shift)))


@njit(inline="always")
def output_tile(m, at, step, units, bias, y, there, row):
    """Aᵀ·m·A of planes of `m`, plus the bias, into the tile of pixels at y[there]."""
    down = 6 * step
    for c in range(0, units, LANES):
        here, shift = at + c, load(bias, c)
        p, q, r = _upper(m, here, down), _upper(m, here + step, down), _upper(m, here + 2 * step, down)
        here += 3 * step
        s, t, u = _upper(m, here, down), _upper(m, here + step, down), _upper(m, here + 2 * step, down)
        _store_outputs(y, there + c, units, shift, p, q, r, s, t, u)
        here = at + c
        p, q, r = _lower(m, here, down), _lower(m, here + step, down), _lower(m, here + 2 * step, down)
        here += 3 * step
        s, t, u = _lower(m, here, down), _lower(m, here + step, down), _lower(m, here + 2 * step, down)
        _store_outputs(y, there + row + c, units, shift, p, q, r, s, t, u)


@njit(inline="always")
def _spread(a, b, c, d):
    """A of four numbers."""
    high, low = fma(splat(_PP), c, a), fma(splat(_QQ), c, a)
    near = fma(splat(_PPP), d, splat(_P) * b)
    far = fma(splat(_QQQ), d, splat(_Q) * b)
    return a, high + near, high - near, low + far, low - far, d


@njit(inline="always")
def gradient_tile(dy, at, row, units, out, there, step, bias):
    """A·dy·Aᵀ of the tile of pixels at dy[at] into planes of `out`; adds the pixels to `bias`."""
    for c in range(0, units, LANES):
        here = at + c
        p, q = load(dy, here), load(dy, here + units)
        r, s = load(dy, here + 2 * units), load(dy, here + 3 * units)
        here += row
        t, u = load(dy, here), load(dy, here + units)
        v, w = load(dy, here + 2 * units), load(dy, here + 3 * units)
        store(bias, c, load(bias, c) + (((p + q) + (r + s)) + ((t + u) + (v + w))))
        upper, lower = _spread(p, q, r, s), _spread(t, u, v, w)
        to = there + c
        _store_column(out, to, step, upper[0], lower[0])
        _store_column(out, to + step, step, upper[1], lower[1])
        _store_column(out, to + 2 * step, step, upper[2], lower[2])
        _store_column(out, to + 3 * step, step, upper[3], lower[3])
        _store_column(out, to + 4 * step, step, upper[4], lower[4])
        _store_column(out, to + 5 * step, step, upper[5], lower[5])


@njit(inline="always")
def _column_back(m, at, row):
    """B of the four numbers down a column of planes."""
    a, b, c, d = load(m, at), load(m, at + row), load(m, at + 2 * row), load(m, at + 3 * row)
    return a, b - c + d, b + c - a, splat(_ZERO) - d


@njit(inline="always")
def _add_pixel(dx, at, value):
    store(dx, at, load(dx, at) + value)


@njit(inline="always")
def _add_row(dx, at, channels, a, b, c, d, e, f):
    """Adds B of six numbers to six pixels."""
    near, far, close, wide = b + c, d + e, splat(_P) * (b - c), splat(_Q) * (d - e)
    _add_pixel(dx, at, splat(_PPQQ) * a)
    _add_pixel(dx, at + channels, fma(splat(_PPQQ), f, fma(splat(-_QQ), close, splat(-_PP) * wide)))
    middle = fma(splat(-_QQ), near, fma(splat(-_PP), far, splat(-_SUM) * a))
    _add_pixel(dx, at + 2 * channels, middle)
    _add_pixel(dx, at + 3 * channels, fma(splat(-_SUM), f, close + wide))
    _add_pixel(dx, at + 4 * channels, a + near + far)
    _add_pixel(dx, at + 5 * channels, f)


@njit(inline="always")
def add_tile(m, at, step, channels, dx, there, row):
    """Adds B·m·Bᵀ of planes of `m` to the tile of pixels at dx[there]."""
    down = 6 * step
    for c in range(0, channels, LANES):
        here, to = at + c, there + c
        p, q = _column_back(m, here, down), _column_back(m, here + step, down)
        r, s = _column_back(m, here + 2 * step, down), _column_back(m, here + 3 * step, down)
        t, u = _column_back(m, here + 4 * step, down), _column_back(m, here + 5 * step, down)
        _add_row(dx, to, channels, p[0], q[0], r[0], s[0], t[0], u[0])
        _add_row(dx, to + row, channels, p[1], q[1], r[1], s[1], t[1], u[1])
        _add_row(dx, to + 2 * row, channels, p[2], q[2], r[2], s[2], t[2], u[2])
        _add_row(dx, to + 3 * row, channels, p[3], q[3], r[3], s[3], t[3], u[3])
