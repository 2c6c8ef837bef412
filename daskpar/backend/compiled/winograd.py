"""Convolutions with 3×3 kernels and stride 1 in 16 multiplications for every 36 (Winograd).

F(2×2, 3×3) of Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", sec. 4.1: an output
tile of 2×2 pixels is Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A of an input tile d of 4×4. The element-wise products, summed
over the input's channels, are 16 matrix products over all tiles. The backward pass is the adjoint of each of
these steps. Tiles are worked through in blocks whose transforms stay in a core's cache:

    x ─ Bᵀ·B ─> V (16, tiles, in) ─ · U (16, in, out) ─> M (16, tiles, out) ─ Aᵀ·A ─> y
"""

from __future__ import annotations

import numpy as np
from numba import njit

from daskpar.backend.compiled.simd import LANES, ROWS, load, multiply_one, multiply_two, splat, store
from daskpar.backend.reference.convolution import Geometry

_BLOCK = 48  # tiles: a multiple of ROWS; for 64 channels V and M are 200 KB each
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=np.float32)


def suits(weight: np.ndarray, how: Geometry) -> bool:
    """Whether this is a convolution for these kernels; `weight` is (height, width, in, out)."""
    plain = weight.shape[:2] == (3, 3) and how.stride == how.dilation == (1, 1) and how.groups == 1
    return plain and weight.shape[2] % LANES == 0 and weight.shape[3] % LANES == 0


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry) -> np.ndarray:
    """y (rows, height', width', out) of x (rows, height, width, in)."""
    rows, height, width, channels = x.shape
    shape = (rows, *how.output((height, width), (3, 3)), weight.shape[3])
    y = np.empty(shape, np.float32)
    bias = np.zeros(shape[3], np.float32) if bias is None else np.ascontiguousarray(bias)
    product = np.ascontiguousarray(_transformed(weight).reshape(16, channels, -1))
    (top, _), (left, _) = how.padding
    _forward(x.reshape(-1), product.reshape(-1), bias, y.reshape(-1), x.shape, shape, top, left)
    return y


def backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, how: Geometry, input_gradient: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """(dx or None, gradient of the weight, gradient of the bias)."""
    channels, units = weight.shape[2:]
    turned = np.ascontiguousarray(_transformed(weight).reshape(16, channels, units).transpose(0, 2, 1))
    dx = np.zeros(x.shape if input_gradient else (1,), np.float32)
    sums = np.zeros((16, channels, units), np.float32)
    bias = np.zeros(units, np.float32)
    arrays = (x.reshape(-1), turned.reshape(-1), dy.reshape(-1), dx.reshape(-1), sums.reshape(-1), bias)
    (top, _), (left, _) = how.padding
    _backward(*arrays, x.shape, dy.shape, top, left, input_gradient)
    gradient = np.einsum("ai,abcd,bj->ijcd", _G, sums.reshape(4, 4, channels, units), _G, optimize=True)
    return (dx if input_gradient else None), gradient, bias


def _transformed(weight: np.ndarray) -> np.ndarray:
    """G·w·Gᵀ, (4, 4, in, out)."""
    return np.einsum("ai,ijcd,bj->abcd", _G, weight, _G, optimize=True)


@njit(inline="always")
def _multiply(a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, rows, depth, columns, add):
    """c (+)= a·b for a multiple of ROWS rows and of LANES columns."""
    for n in range(0, columns - LANES, 2 * LANES):
        for r in range(0, rows, ROWS):
            left, into = a_at + r * a_row, c_at + r * c_row + n
            multiply_two(a, left, a_row, a_step, b, b_at + n, b_step, c, into, c_row, depth, add)
    if columns % (2 * LANES):
        n = columns - LANES
        for r in range(0, rows, ROWS):
            left, into = a_at + r * a_row, c_at + r * c_row + n
            multiply_one(a, left, a_row, a_step, b, b_at + n, b_step, c, into, c_row, depth, add)


@njit(inline="always")
def _copy_tile(x, scratch, image, top, left, height, width, channels):
    """The 4×4 pixels from (top, left) on into `scratch`, zeros where they lie outside of the image."""
    for i in range(4):
        for j in range(4):
            at = (i * 4 + j) * channels
            inside = 0 <= top + i < height and 0 <= left + j < width
            here = image + ((top + i) * width + left + j) * channels
            for c in range(channels):
                scratch[at + c] = x[here + c] if inside else np.float32(0)


@njit(inline="always")
def _along(a, b, c, d):
    """Bᵀ of four numbers."""
    return a - c, b + c, c - b, b - d


@njit(inline="always")
def _column(x, at, row):
    """Bᵀ of the four pixels down from x[at]."""
    return _along(load(x, at), load(x, at + row), load(x, at + 2 * row), load(x, at + 3 * row))


@njit(inline="always")
def _store_four(out, at, step, four):
    store(out, at, four[0])
    store(out, at + step, four[1])
    store(out, at + 2 * step, four[2])
    store(out, at + 3 * step, four[3])


@njit(inline="always")
def _transform_input(x, at, row, channels, out, tile):
    """Bᵀ·d·B of the tile at x[at], whose pixel rows are `row` elements apart."""
    step = _BLOCK * channels
    for c in range(0, channels, LANES):
        here, there = at + c, tile * channels + c
        p, q = _column(x, here, row), _column(x, here + channels, row)
        r, s = _column(x, here + 2 * channels, row), _column(x, here + 3 * channels, row)
        _store_four(out, there, step, _along(p[0], q[0], r[0], s[0]))
        _store_four(out, there + 4 * step, step, _along(p[1], q[1], r[1], s[1]))
        _store_four(out, there + 8 * step, step, _along(p[2], q[2], r[2], s[2]))
        _store_four(out, there + 12 * step, step, _along(p[3], q[3], r[3], s[3]))


@njit(nogil=True, cache=True, boundscheck=False)
def _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, out):
    """V of `count` tiles from tile `first` on."""
    _, height, width, channels = x_shape
    down, across = (y_shape[1] + 1) // 2, (y_shape[2] + 1) // 2
    for tile in range(count):
        image, place = divmod(first + tile, down * across)
        top, left = 2 * (place // across) - pad_top, 2 * (place % across) - pad_left
        start = image * height * width * channels
        if top >= 0 and left >= 0 and top + 4 <= height and left + 4 <= width:
            _transform_input(
                x, start + (top * width + left) * channels, width * channels, channels, out, tile
            )
        else:
            _copy_tile(x, scratch, start, top, left, height, width, channels)
            _transform_input(scratch, 0, 4 * channels, channels, out, tile)


@njit(nogil=True, cache=True, boundscheck=False)
def _forward(x, weight, bias, y, x_shape, y_shape, pad_top, pad_left):
    channels, units = x_shape[3], y_shape[3]
    rows, out_height, out_width = y_shape[0], y_shape[1], y_shape[2]
    down, across = (out_height + 1) // 2, (out_width + 1) // 2
    tiles = rows * down * across
    scratch = np.empty(16 * channels, np.float32)
    v = np.zeros(16 * _BLOCK * channels, np.float32)
    m = np.empty(16 * _BLOCK * units, np.float32)
    step = _BLOCK * units
    for first in range(0, tiles, _BLOCK):
        count = min(_BLOCK, tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for k in range(16):
            a_at, b_at, c_at = k * _BLOCK * channels, k * channels * units, k * step
            _multiply(
                v, a_at, channels, 1, weight, b_at, units, m, c_at, units, _BLOCK, channels, units, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            top, left = 2 * (place // across), 2 * (place % across)
            at = ((image * out_height + top) * out_width + left) * units
            lower, right = top + 1 < out_height, left + 1 < out_width
            for c in range(0, units, LANES):
                here = tile * units + c
                shift = load(bias, c)
                for half in range(2):
                    if half == 1 and not lower:
                        break
                    if half == 0:
                        p = load(m, here) + load(m, here + 4 * step) + load(m, here + 8 * step)
                        q = load(m, here + step) + load(m, here + 5 * step) + load(m, here + 9 * step)
                        r = load(m, here + 2 * step) + load(m, here + 6 * step) + load(m, here + 10 * step)
                        s = load(m, here + 3 * step) + load(m, here + 7 * step) + load(m, here + 11 * step)
                    else:
                        p = load(m, here + 4 * step) - load(m, here + 8 * step) - load(m, here + 12 * step)
                        q = load(m, here + 5 * step) - load(m, here + 9 * step) - load(m, here + 13 * step)
                        r = load(m, here + 6 * step) - load(m, here + 10 * step) - load(m, here + 14 * step)
                        s = load(m, here + 7 * step) - load(m, here + 11 * step) - load(m, here + 15 * step)
                    there = at + half * out_width * units + c
                    one = p + q + r + shift
                    two = q - r - s + shift
                    store(y, there, one)
                    if right:
                        store(y, there + units, two)


@njit(inline="always")
def _transform_gradient(dy, at, row, units, lower, right, out, tile, bias):
    """A·dy·Aᵀ of the 2×2 tile at dy[at]; pixels beyond the image count as zero. Adds dy to `bias`."""
    step = _BLOCK * units
    zero = splat(np.float32(0))
    for c in range(0, units, LANES):
        a = load(dy, at + c)
        b = load(dy, at + units + c) if right else zero
        d = load(dy, at + row + c) if lower else zero
        e = load(dy, at + row + units + c) if lower and right else zero
        store(bias, c, load(bias, c) + (a + b) + (d + e))
        here = tile * units + c
        for i in range(4):
            if i == 0:
                p, q = a, b
            elif i == 1:
                p, q = a + d, b + e
            elif i == 2:
                p, q = a - d, b - e
            else:
                p, q = zero - d, zero - e
            store(out, here + 4 * i * step, p)
            store(out, here + (4 * i + 1) * step, p + q)
            store(out, here + (4 * i + 2) * step, p - q)
            store(out, here + (4 * i + 3) * step, zero - q)


@njit(inline="always")
def _back(a, b, c, d):
    """B of four numbers, without their signs' last: a, b - c + d, b + c - a, and d to be taken away."""
    return a, b - c + d, b + c - a, d


@njit(inline="always")
def _four_back(v, at, step):
    return _back(load(v, at), load(v, at + step), load(v, at + 2 * step), load(v, at + 3 * step))


@njit(inline="always")
def _add_row(dx, at, channels, four):
    store(dx, at, load(dx, at) + four[0])
    store(dx, at + channels, load(dx, at + channels) + four[1])
    store(dx, at + 2 * channels, load(dx, at + 2 * channels) + four[2])
    store(dx, at + 3 * channels, load(dx, at + 3 * channels) - four[3])


@njit(inline="always")
def _take_row(dx, at, channels, four):
    store(dx, at, load(dx, at) - four[0])
    store(dx, at + channels, load(dx, at + channels) - four[1])
    store(dx, at + 2 * channels, load(dx, at + 2 * channels) - four[2])
    store(dx, at + 3 * channels, load(dx, at + 3 * channels) + four[3])


@njit(inline="always")
def _add_tile(v, tile, channels, dx, at, row):
    """Adds B·dV·Bᵀ of a tile to the 4×4 pixels at dx[at], whose rows are `row` elements apart."""
    step = _BLOCK * channels
    for c in range(0, channels, LANES):
        here, there = tile * channels + c, at + c
        p, q = _four_back(v, here, 4 * step), _four_back(v, here + step, 4 * step)
        r, s = _four_back(v, here + 2 * step, 4 * step), _four_back(v, here + 3 * step, 4 * step)
        _add_row(dx, there, channels, _back(p[0], q[0], r[0], s[0]))
        _add_row(dx, there + row, channels, _back(p[1], q[1], r[1], s[1]))
        _add_row(dx, there + 2 * row, channels, _back(p[2], q[2], r[2], s[2]))
        _take_row(dx, there + 3 * row, channels, _back(p[3], q[3], r[3], s[3]))


@njit(inline="always")
def _add_back(scratch, dx, image, top, left, height, width, channels):
    """Adds the 4×4 pixels in `scratch` to those from (top, left) on that lie within the image."""
    for i in range(4):
        for j in range(4):
            if 0 <= top + i < height and 0 <= left + j < width:
                here = image + ((top + i) * width + left + j) * channels
                for c in range(channels):
                    dx[here + c] += scratch[(i * 4 + j) * channels + c]


@njit(nogil=True, cache=True, boundscheck=False)
def _backward(x, turned, dy, dx, sums, bias, x_shape, y_shape, pad_top, pad_left, input_gradient):
    rows, height, width, channels = x_shape
    out_height, out_width, units = y_shape[1], y_shape[2], y_shape[3]
    down, across = (out_height + 1) // 2, (out_width + 1) // 2
    tiles = rows * down * across
    scratch = np.empty(16 * channels, np.float32)
    v = np.zeros(16 * _BLOCK * channels, np.float32)
    m = np.zeros(16 * _BLOCK * units, np.float32)
    for first in range(0, tiles, _BLOCK):
        count = min(_BLOCK, tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            top, left = 2 * (place // across), 2 * (place % across)
            at = ((image * out_height + top) * out_width + left) * units
            lower, right = top + 1 < out_height, left + 1 < out_width
            _transform_gradient(dy, at, out_width * units, units, lower, right, m, tile, bias)
        for k in range(16):
            a_at, b_at, c_at = k * _BLOCK * channels, k * _BLOCK * units, k * channels * units
            _multiply(v, a_at, 1, channels, m, b_at, units, sums, c_at, units, channels, count, units, True)
        if not input_gradient:
            continue
        for k in range(16):
            a_at, b_at, c_at = k * _BLOCK * units, k * units * channels, k * _BLOCK * channels
            _multiply(
                m, a_at, units, 1, turned, b_at, channels, v, c_at, channels, _BLOCK, units, channels, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, down * across)
            top, left = 2 * (place // across) - pad_top, 2 * (place % across) - pad_left
            start = image * height * width * channels
            if top >= 0 and left >= 0 and top + 4 <= height and left + 4 <= width:
                _add_tile(v, tile, channels, dx, start + (top * width + left) * channels, width * channels)
            else:
                scratch[:] = 0
                _add_tile(v, tile, channels, scratch, 0, 4 * channels)
                _add_back(scratch, dx, start, top, left, height, width, channels)
