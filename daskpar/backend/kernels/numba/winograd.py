"""Winograd convolutions with 3×3 kernels and stride 1: 36 multiplications instead of 144.

A tile of 4×4 pixels of the output is Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A, with a tile d of 6×6 pixels of the input and
the kernel w (`transforms.py`). The element-wise products, summed over the input channels, are 36 matrix
products over all tiles. The backward pass is the adjoint of each of these steps. Tiles are computed in blocks
whose transforms stay in a core's cache:

    x ─ Bᵀ·B ─> V (36, tiles, in) ─ · U (36, in, out) ─> M (36, tiles, out) ─ Aᵀ·A ─> y

The transforms subtract large numbers, so that rounding errors of the products matter most. Therefore each sum
is made of sums of _TERMS / 2 terms.

Reference:
    Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", section 4.
    https://arxiv.org/abs/1509.09308
"""

from __future__ import annotations

import numpy as np

from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import load, splat, store, where_positive
from daskpar.backend.kernels.numba.tiles import ROWS, multiply_apart
from daskpar.backend.kernels.numba.transforms import (
    PLANES,
    REACH,
    SIDE,
    TAPS,
    back_tile,
    gradient_tile,
    input_tile,
    output_tile,
)
from daskpar.backend.kernels.numba.vectors import LANES
from daskpar.backend.kernels.reference.convolution import Geometry, Pair

_BLOCK = 24  # tiles: a multiple of ROWS; for 64 channels V and M are 220 KB each
_TERMS = 16  # terms of a partial sum, even and odd ones apart
_LINE = 16  # numbers in a cache line
_ZERO, _LOWEST = np.float32(0), np.float32(-np.inf)


def supports(image: Pair, weight: np.ndarray, how: Geometry) -> bool:
    """Return whether these kernels support a convolution of images (height, width) and are worth it.

    `weight` is (kernel height, kernel width, in, out). They are not worth it for outputs so small that most
    of a tile is beyond them.
    """
    plain = weight.shape[:2] == (3, 3) and how.stride == how.dilation == (1, 1) and how.groups == 1
    if not plain or weight.shape[2] % LANES or weight.shape[3] % LANES:
        return False
    height, width = how.output(image, (3, 3))
    return 9 * height * width > PLANES * -(-height // SIDE) * -(-width // SIDE)


def forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry, rectify: bool
) -> np.ndarray:
    """Return the convolution (rows, height', width', out) of `x` (rows, height, width, in)."""
    shape = (x.shape[0], *how.output(x.shape[1:3], (3, 3)), weight.shape[3])
    y = np.empty(shape, np.float32)
    bias = np.zeros(shape[3], np.float32) if bias is None else np.ascontiguousarray(bias)
    product = _transformed(weight)
    (top, _), (left, _) = how.padding
    lowest = _ZERO if rectify else _LOWEST
    arrays = x.reshape(-1), product.reshape(-1), bias, lowest, y.reshape(-1)
    _forward(*arrays, x.shape, shape, top, left)
    return y


def backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, how: Geometry, input_gradient: bool, rectified: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `x`, or None, of the weight and of the bias."""
    channels, units = weight.shape[2:]
    turned = np.ascontiguousarray(_transformed(weight).transpose(0, 2, 1))
    dx = np.zeros(x.shape if input_gradient else (1,), np.float32)
    sums = np.zeros((PLANES, channels, units), np.float32)
    bias = np.zeros(units, np.float32)
    arrays = (x.reshape(-1), turned.reshape(-1), dy.reshape(-1), dx.reshape(-1), sums.reshape(-1), bias)
    (top, _), (left, _) = how.padding
    _backward(*arrays, x.shape, dy.shape, top, left, input_gradient, rectified)
    planes = sums.reshape(REACH, REACH, channels * units)
    gradient = np.einsum("ai,abn,bj->ijn", TAPS, planes, TAPS, optimize=True)
    gradient = gradient.reshape(3, 3, channels, units).astype(np.float32)
    return (dx if input_gradient else None), gradient, bias


def _transformed(weight: np.ndarray) -> np.ndarray:
    """Return G·w·Gᵀ (PLANES, in, out)."""
    planes = np.einsum("ai,ijcd,bj->abcd", TAPS, weight, TAPS, optimize=True)
    return np.ascontiguousarray(planes, np.float32).reshape(PLANES, *weight.shape[2:])


@njit(inline="always")
def _multiply(a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, rows, depth, columns, add):
    """Compute c = a·b, or c += a·b with `add`; rows are a multiple of ROWS, columns of LANES."""
    for n in range(0, columns, LANES):
        for r in range(0, rows, ROWS):
            into = c_at + r * c_row + n
            for k in range(0, depth, _TERMS):
                left, right = a_at + r * a_row + k * a_step, b_at + k * b_step + n
                few, more = min(_TERMS, depth - k), add or k > 0
                multiply_apart(a, left, a_row, a_step, b, right, b_step, c, into, c_row, few, more)


@njit(inline="always")
def _apart(channels):
    """Return the stride in elements from one plane of V or M to the next.

    It is an odd number of cache lines, so that the lines of a tile in all planes do not evict each other.
    """
    return _BLOCK * channels + _LINE


@njit(inline="always")
def _copy_tile(x, scratch, image, top, left, height, width, channels, side):
    """Copy side×side pixels from (top, left) on to `scratch`, with zeros for pixels outside the image."""
    for i in range(side):
        for j in range(side):
            at = (i * side + j) * channels
            if 0 <= top + i < height and 0 <= left + j < width:
                here = image + ((top + i) * width + left + j) * channels
                for c in range(0, channels, LANES):
                    store(scratch, at + c, load(x, here + c))
            else:
                for c in range(0, channels, LANES):
                    store(scratch, at + c, splat(_ZERO))


@njit(inline="always")
def _add_back(scratch, dx, image, top, left, height, width, channels, x, rectified):
    """Add the tile of inputs in `scratch` to the pixels of the image from (top, left) on.

    With `rectified`, only pixels where x is above zero change.
    """
    for i in range(max(0, -top), min(REACH, height - top)):
        for j in range(max(0, -left), min(REACH, width - left)):
            here = image + ((top + i) * width + left + j) * channels
            at = (i * REACH + j) * channels
            for c in range(0, channels, LANES):
                value = load(scratch, at + c)
                if rectified:
                    value = where_positive(value, load(x, here + c))
                store(dx, here + c, load(dx, here + c) + value)


@njit(inline="always")
def _put_back(scratch, y, image, top, left, height, width, units):
    """Write the tile of outputs in `scratch` to the pixels of the image from (top, left) on."""
    for i in range(min(SIDE, height - top)):
        for j in range(min(SIDE, width - left)):
            here = image + ((top + i) * width + left + j) * units
            at = (i * SIDE + j) * units
            for c in range(0, units, LANES):
                store(y, here + c, load(scratch, at + c))


@njit(nogil=True, cache=True, boundscheck=False)
def _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, out):
    """Write V of `count` tiles, from tile `first` on, to `out`."""
    _, height, width, channels = x_shape
    across = -(-y_shape[2] // SIDE)
    tiles, step = -(-y_shape[1] // SIDE) * across, _apart(channels)
    for tile in range(count):
        image, place = divmod(first + tile, tiles)
        top, left = SIDE * (place // across) - pad_top, SIDE * (place % across) - pad_left
        start, there = image * height * width * channels, tile * channels
        if top >= 0 and left >= 0 and top + REACH <= height and left + REACH <= width:
            at = start + (top * width + left) * channels
            input_tile(x, at, width * channels, channels, out, there, step)
        else:
            _copy_tile(x, scratch, start, top, left, height, width, channels, REACH)
            input_tile(scratch, 0, REACH * channels, channels, out, there, step)


@njit(nogil=True, cache=True, boundscheck=False)
def _forward(x, weight, bias, lowest, y, x_shape, y_shape, pad_top, pad_left):
    """Write the convolution to flat `y`; `weight` is the transformed U (PLANES, in, out)."""
    channels = x_shape[3]
    rows, height, width, units = y_shape
    across = -(-width // SIDE)
    tiles = -(-height // SIDE) * across
    scratch = np.empty(REACH * REACH * max(channels, units), np.float32)
    wide, step = _apart(channels), _apart(units)
    v, m = np.zeros(PLANES * wide, np.float32), np.empty(PLANES * step, np.float32)
    for first in range(0, rows * tiles, _BLOCK):
        count = min(_BLOCK, rows * tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for k in range(PLANES):
            a_at, b_at, c_at = k * wide, k * channels * units, k * step
            _multiply(
                v, a_at, channels, 1, weight, b_at, units, m, c_at, units, _BLOCK, channels, units, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = SIDE * (place // across), SIDE * (place % across)
            start, here = image * height * width * units, tile * units
            if top + SIDE <= height and left + SIDE <= width:
                at = start + (top * width + left) * units
                output_tile(m, here, step, units, bias, lowest, y, at, width * units)
            else:
                output_tile(m, here, step, units, bias, lowest, scratch, 0, SIDE * units)
                _put_back(scratch, y, start, top, left, height, width, units)


@njit(nogil=True, cache=True, boundscheck=False)
def _backward(x, turned, dy, dx, sums, bias, x_shape, y_shape, pad_top, pad_left, input_gradient, rectified):
    """Add to flat `dx`, to the transformed weight gradient `sums` (PLANES, in, out) and to `bias` (out,)."""
    _, height, width, channels = x_shape
    rows, out_height, out_width, units = y_shape
    across = -(-out_width // SIDE)
    tiles = -(-out_height // SIDE) * across
    scratch = np.empty(REACH * REACH * max(channels, units), np.float32)
    wide, step = _apart(channels), _apart(units)
    v, m = np.zeros(PLANES * wide, np.float32), np.zeros(PLANES * step, np.float32)
    for first in range(0, rows * tiles, _BLOCK):
        count = min(_BLOCK, rows * tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = SIDE * (place // across), SIDE * (place % across)
            start, there = image * out_height * out_width * units, tile * units
            if top + SIDE <= out_height and left + SIDE <= out_width:
                at = start + (top * out_width + left) * units
                gradient_tile(dy, at, out_width * units, units, m, there, step, bias)
            else:
                _copy_tile(dy, scratch, start, top, left, out_height, out_width, units, SIDE)
                gradient_tile(scratch, 0, SIDE * units, units, m, there, step, bias)
        for k in range(PLANES):
            a_at, b_at, c_at = k * wide, k * step, k * channels * units
            _multiply(v, a_at, 1, channels, m, b_at, units, sums, c_at, units, channels, count, units, True)
        if not input_gradient:
            continue
        for k in range(PLANES):
            a_at, b_at, c_at = k * step, k * units * channels, k * wide
            _multiply(
                m, a_at, units, 1, turned, b_at, channels, v, c_at, channels, _BLOCK, units, channels, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = SIDE * (place // across) - pad_top, SIDE * (place % across) - pad_left
            back_tile(v, tile * channels, wide, channels, scratch)
            start = image * height * width * channels
            _add_back(scratch, dx, start, top, left, height, width, channels, x, rectified)
