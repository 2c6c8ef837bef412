"""Winograd's transforms of tiles, on vectors of channels: F(4×4, 3×3).

In each direction, 4 pixels of the output depend on 6 pixels of the input. The polynomials are evaluated at
the points 0, ±23/32, ±23/16 and infinity. Compared with 0, ±1, ±2 and infinity, these points leave a quarter
of the rounding error.

Reference:
    Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", section 4, for Aᵀ, Bᵀ and G.
    Barabasz et al. 2020, "Error analysis and improving the accuracy of Winograd convolution for deep neural
    networks", for the points.
"""

from __future__ import annotations

import numpy as np

from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import at_least, fma, load, splat, store
from daskpar.backend.kernels.numba.vectors import LANES

SIDE = 4
"""Height and width of a tile of outputs."""
REACH = SIDE + 2
"""Height and width of the tile of inputs that a tile of outputs depends on."""
PLANES = REACH * REACH
"""Products for each tile, input channel and output channel; without the transforms 9·SIDE²."""

_NEAR, _FAR = 23 / 32, 23 / 16
_POINTS = np.array([0, _NEAR, -_NEAR, _FAR, -_FAR])
_APART = (_POINTS[:, None] - _POINTS + np.eye(5)).prod(axis=1, keepdims=True)
TAPS = np.vstack([_POINTS[:, None] ** np.arange(3) / _APART, [0, 0, 1]])
"""G (6, 3), which evaluates three taps of a kernel at the points."""

_P, _Q = np.float32(_NEAR), np.float32(_FAR)
_PP, _QQ, _PPP, _QQQ = _P * _P, _Q * _Q, _P * _P * _P, _Q * _Q * _Q  # exact in float32
_PPQQ, _SUM = _PP * _QQ, _PP + _QQ


@njit(nogil=True, cache=True, boundscheck=False)
def _to_points(six):
    """Apply Bᵀ to six vectors."""
    a, b, c, d, e, f = six
    high, low = fma(splat(-_QQ), c, e), fma(splat(-_PP), c, e)
    near, far = splat(_P) * fma(splat(-_QQ), b, d), splat(_Q) * fma(splat(-_PP), b, d)
    first = fma(splat(_PPQQ), a, fma(splat(-_SUM), c, e))
    last = fma(splat(_PPQQ), b, fma(splat(-_SUM), d, f))
    return first, high + near, high - near, low + far, low - far, last


@njit(nogil=True, cache=True, boundscheck=False)
def _to_points_back(six):
    """Apply B to six vectors: the adjoint of `_to_points`."""
    a, b, c, d, e, f = six
    near, far, close, wide = b + c, d + e, splat(_P) * (b - c), splat(_Q) * (d - e)
    second = fma(splat(_PPQQ), f, fma(splat(-_QQ), close, splat(-_PP) * wide))
    third = fma(splat(-_QQ), near, fma(splat(-_PP), far, splat(-_SUM) * a))
    fourth = fma(splat(-_SUM), f, close + wide)
    return splat(_PPQQ) * a, second, third, fourth, a + near + far, f


@njit(nogil=True, cache=True, boundscheck=False)
def _from_points(six):
    """Apply Aᵀ to six vectors, which returns four."""
    a, b, c, d, e, f = six
    near, far, close, wide = b + c, d + e, b - c, d - e
    second = fma(splat(_P), close, splat(_Q) * wide)
    third = fma(splat(_PP), near, splat(_QQ) * far)
    return a + near + far, second, third, fma(splat(_PPP), close, fma(splat(_QQQ), wide, f))


@njit(nogil=True, cache=True, boundscheck=False)
def _from_points_back(four):
    """Apply A to four vectors, which returns six: the adjoint of `_from_points`."""
    a, b, c, d = four
    high, low = fma(splat(_PP), c, a), fma(splat(_QQ), c, a)
    near = fma(splat(_PPP), d, splat(_P) * b)
    far = fma(splat(_QQQ), d, splat(_Q) * b)
    return a, high + near, high - near, low + far, low - far, d


@njit(nogil=True, cache=True, boundscheck=False)
def _four(x, at, step):
    """Load four vectors of x, `step` elements apart."""
    return load(x, at), load(x, at + step), load(x, at + 2 * step), load(x, at + 3 * step)


@njit(nogil=True, cache=True, boundscheck=False)
def _six(x, at, step):
    """Load six vectors of x, `step` elements apart."""
    a, b, c, d = _four(x, at, step)
    return a, b, c, d, load(x, at + 4 * step), load(x, at + 5 * step)


@njit(nogil=True, cache=True, boundscheck=False)
def _store_four(out, at, step, a, b, c, d):
    """Store four vectors in `out`, `step` elements apart."""
    store(out, at, a)
    store(out, at + step, b)
    store(out, at + 2 * step, c)
    store(out, at + 3 * step, d)


@njit(nogil=True, cache=True, boundscheck=False)
def _store_six(out, at, step, six):
    """Store six vectors in `out`, `step` elements apart."""
    a, b, c, d, e, f = six
    _store_four(out, at, step, a, b, c, d)
    store(out, at + 4 * step, e)
    store(out, at + 5 * step, f)


@njit(inline="always")
def _both_ways(points, x, at, column, row, channels, out, there, step):
    """Apply `points` to each column, and then to each row, of a tile (6, 6, channels) at x[at].

    `column` and `row` are the strides of the tile in elements. The strides of the result are `step` and
    6·step.
    """
    for i in range(0, channels, LANES):
        here, to, down = at + i, there + i, 6 * step
        a, b = points(_six(x, here, row)), points(_six(x, here + column, row))
        here += 2 * column
        c, d = points(_six(x, here, row)), points(_six(x, here + column, row))
        here += 2 * column
        e, f = points(_six(x, here, row)), points(_six(x, here + column, row))
        _store_six(out, to, step, points((a[0], b[0], c[0], d[0], e[0], f[0])))
        _store_six(out, to + down, step, points((a[1], b[1], c[1], d[1], e[1], f[1])))
        _store_six(out, to + 2 * down, step, points((a[2], b[2], c[2], d[2], e[2], f[2])))
        _store_six(out, to + 3 * down, step, points((a[3], b[3], c[3], d[3], e[3], f[3])))
        _store_six(out, to + 4 * down, step, points((a[4], b[4], c[4], d[4], e[4], f[4])))
        _store_six(out, to + 5 * down, step, points((a[5], b[5], c[5], d[5], e[5], f[5])))


@njit(nogil=True, cache=True, boundscheck=False)
def input_tile(x, at, row, channels, out, there, step):
    """Write Bᵀ·d·B of the tile of inputs d at x[at] to the planes of `out`, `step` elements apart."""
    _both_ways(_to_points, x, at, channels, row, channels, out, there, step)


@njit(nogil=True, cache=True, boundscheck=False)
def back_tile(m, at, step, channels, out):
    """Write B·m·Bᵀ of the planes of `m` to the tile of pixels `out` (6, 6, channels)."""
    _both_ways(_to_points_back, m, at, step, 6 * step, channels, out, 0, channels)


@njit(nogil=True, cache=True, boundscheck=False)
def _store_pixels(y, at, units, shift, floor, four):
    """Store four pixels plus the bias `shift`, not below `floor`, `units` elements apart."""
    a, b, c, d = four
    a, b = at_least(a + shift, floor), at_least(b + shift, floor)
    _store_four(y, at, units, a, b, at_least(c + shift, floor), at_least(d + shift, floor))


@njit(nogil=True, cache=True, boundscheck=False)
def output_tile(m, at, step, units, bias, lowest, y, there, row):
    """Write max(Aᵀ·m·A + bias, lowest) of the planes of `m` to the tile of pixels at y[there]."""
    floor = splat(lowest)
    for i in range(0, units, LANES):
        here, to, down, shift = at + i, there + i, 6 * step, load(bias, i)
        a, b = _from_points(_six(m, here, down)), _from_points(_six(m, here + step, down))
        here += 2 * step
        c, d = _from_points(_six(m, here, down)), _from_points(_six(m, here + step, down))
        here += 2 * step
        e, f = _from_points(_six(m, here, down)), _from_points(_six(m, here + step, down))
        upper = _from_points((a[0], b[0], c[0], d[0], e[0], f[0]))
        _store_pixels(y, to, units, shift, floor, upper)
        second = _from_points((a[1], b[1], c[1], d[1], e[1], f[1]))
        _store_pixels(y, to + row, units, shift, floor, second)
        third = _from_points((a[2], b[2], c[2], d[2], e[2], f[2]))
        _store_pixels(y, to + 2 * row, units, shift, floor, third)
        lower = _from_points((a[3], b[3], c[3], d[3], e[3], f[3]))
        _store_pixels(y, to + 3 * row, units, shift, floor, lower)


@njit(nogil=True, cache=True, boundscheck=False)
def gradient_tile(dy, at, row, units, out, there, step, bias):
    """Write A·dy·Aᵀ of the tile of pixels at dy[at] to the planes of `out`, and add the pixels to `bias`."""
    for i in range(0, units, LANES):
        here, to, down = at + i, there + i, 6 * step
        p, q = _four(dy, here, row), _four(dy, here + units, row)
        here += 2 * units
        r, s = _four(dy, here, row), _four(dy, here + units, row)
        some = ((p[0] + p[1]) + (p[2] + p[3])) + ((q[0] + q[1]) + (q[2] + q[3]))
        rest = ((r[0] + r[1]) + (r[2] + r[3])) + ((s[0] + s[1]) + (s[2] + s[3]))
        store(bias, i, load(bias, i) + (some + rest))
        a, b, c, d = _from_points_back(p), _from_points_back(q), _from_points_back(r), _from_points_back(s)
        _store_six(out, to, step, _from_points_back((a[0], b[0], c[0], d[0])))
        _store_six(out, to + down, step, _from_points_back((a[1], b[1], c[1], d[1])))
        _store_six(out, to + 2 * down, step, _from_points_back((a[2], b[2], c[2], d[2])))
        _store_six(out, to + 3 * down, step, _from_points_back((a[3], b[3], c[3], d[3])))
        _store_six(out, to + 4 * down, step, _from_points_back((a[4], b[4], c[4], d[4])))
        _store_six(out, to + 5 * down, step, _from_points_back((a[5], b[5], c[5], d[5])))
