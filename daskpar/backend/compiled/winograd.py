"""Convolutions with 3×3 kernels and stride 1 in 24 multiplications for every 72 (Winograd).

A tile of 2×4 pixels of the output is Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A of a tile d of 4×6 pixels of the input (Lavin
and Gray 2016, "Fast algorithms for convolutional neural networks", sec. 4; `transforms.py`). The element-wise
products, summed over the input's channels, are 24 matrix products over all tiles. The backward pass is the
adjoint of each of these steps. Tiles are worked through in blocks whose transforms stay in a core's cache:

    x ─ Bᵀ·B ─> V (24, tiles, in) ─ · U (24, in, out) ─> M (24, tiles, out) ─ Aᵀ·A ─> y

Tiles of 4×4 would take 36 for every 144, and lose more than 1e-6 of the largest output to rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from daskpar.backend.compiled.simd import LANES, ROWS, multiply_one, multiply_two
from daskpar.backend.compiled.transforms import (
    ACROSS,
    BROAD,
    DOWN,
    HIGH,
    PLANES,
    TALL,
    WIDE,
    add_tile,
    gradient_tile,
    input_tile,
    output_tile,
)
from daskpar.backend.reference.convolution import Geometry

_BLOCK = 24  # tiles: a multiple of ROWS; for 64 channels V and M are 150 KB each


def suits(weight: np.ndarray, how: Geometry) -> bool:
    """Whether this is a convolution for these kernels; `weight` is (height, width, in, out)."""
    plain = weight.shape[:2] == (3, 3) and how.stride == how.dilation == (1, 1) and how.groups == 1
    return plain and weight.shape[2] % LANES == 0 and weight.shape[3] % LANES == 0


def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry) -> np.ndarray:
    """y (rows, height', width', out) of x (rows, height, width, in)."""
    shape = (x.shape[0], *how.output(x.shape[1:3], (3, 3)), weight.shape[3])
    y = np.empty(shape, np.float32)
    bias = np.zeros(shape[3], np.float32) if bias is None else np.ascontiguousarray(bias)
    product = _transformed(weight)
    (top, _), (left, _) = how.padding
    _forward(x.reshape(-1), product.reshape(-1), bias, y.reshape(-1), x.shape, shape, top, left)
    return y


def backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, how: Geometry, input_gradient: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """(dx or None, gradient of the weight, gradient of the bias)."""
    channels, units = weight.shape[2:]
    turned = np.ascontiguousarray(_transformed(weight).transpose(0, 2, 1))
    dx = np.zeros(x.shape if input_gradient else (1,), np.float32)
    sums = np.zeros((PLANES, channels, units), np.float32)
    bias = np.zeros(units, np.float32)
    arrays = (x.reshape(-1), turned.reshape(-1), dy.reshape(-1), dx.reshape(-1), sums.reshape(-1), bias)
    (top, _), (left, _) = how.padding
    _backward(*arrays, x.shape, dy.shape, top, left, input_gradient)
    planes = sums.reshape(HIGH, BROAD, channels * units)
    gradient = np.einsum("ai,abn,bj->ijn", DOWN, planes, ACROSS, optimize=True)
    gradient = gradient.reshape(3, 3, channels, units).astype(np.float32)
    return (dx if input_gradient else None), gradient, bias


def _transformed(weight: np.ndarray) -> np.ndarray:
    """G·w·Gᵀ, (PLANES, in, out)."""
    planes = np.einsum("ai,ijcd,bj->abcd", DOWN, weight, ACROSS, optimize=True)
    return np.ascontiguousarray(planes, np.float32).reshape(PLANES, *weight.shape[2:])


@njit(inline="always")
def multiply(a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, rows, depth, columns, add):
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
def _copy_tile(x, scratch, image, top, left, height, width, channels, tall, wide):
    """The tall×wide pixels from (top, left) on into `scratch`, zeros where they lie outside of the image."""
    for i in range(tall):
        for j in range(wide):
            at = (i * wide + j) * channels
            inside = 0 <= top + i < height and 0 <= left + j < width
            here = image + ((top + i) * width + left + j) * channels
            for c in range(channels):
                scratch[at + c] = x[here + c] if inside else np.float32(0)


@njit(inline="always")
def _add_back(scratch, x, image, top, left, height, width, channels):
    """Adds the tile of inputs in `scratch` to the pixels from (top, left) on that lie within the image."""
    for i in range(HIGH):
        for j in range(BROAD):
            if 0 <= top + i < height and 0 <= left + j < width:
                here = image + ((top + i) * width + left + j) * channels
                for c in range(channels):
                    x[here + c] += scratch[(i * BROAD + j) * channels + c]


@njit(inline="always")
def _put_back(scratch, y, image, top, left, height, width, units):
    """Writes the tile of outputs in `scratch` to the pixels from (top, left) on that lie within the image."""
    for i in range(min(TALL, height - top)):
        for j in range(min(WIDE, width - left)):
            here = image + ((top + i) * width + left + j) * units
            for c in range(units):
                y[here + c] = scratch[(i * WIDE + j) * units + c]


@njit(nogil=True, cache=True, boundscheck=False)
def _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, out):
    """V of `count` tiles from tile `first` on."""
    _, height, width, channels = x_shape
    across = -(-y_shape[2] // WIDE)
    tiles, step = -(-y_shape[1] // TALL) * across, _BLOCK * channels
    for tile in range(count):
        image, place = divmod(first + tile, tiles)
        top, left = TALL * (place // across) - pad_top, WIDE * (place % across) - pad_left
        start, there = image * height * width * channels, tile * channels
        if top >= 0 and left >= 0 and top + HIGH <= height and left + BROAD <= width:
            at = start + (top * width + left) * channels
            input_tile(x, at, width * channels, channels, out, there, step)
        else:
            _copy_tile(x, scratch, start, top, left, height, width, channels, HIGH, BROAD)
            input_tile(scratch, 0, BROAD * channels, channels, out, there, step)


@njit(nogil=True, cache=True, boundscheck=False)
def _forward(x, weight, bias, y, x_shape, y_shape, pad_top, pad_left):
    channels = x_shape[3]
    rows, height, width, units = y_shape
    across = -(-width // WIDE)
    tiles = -(-height // TALL) * across
    scratch = np.empty(HIGH * BROAD * max(channels, units), np.float32)
    v = np.zeros(PLANES * _BLOCK * channels, np.float32)
    m = np.empty(PLANES * _BLOCK * units, np.float32)
    step = _BLOCK * units
    for first in range(0, rows * tiles, _BLOCK):
        count = min(_BLOCK, rows * tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for k in range(PLANES):
            a_at, b_at, c_at = k * _BLOCK * channels, k * channels * units, k * step
            multiply(
                v, a_at, channels, 1, weight, b_at, units, m, c_at, units, _BLOCK, channels, units, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = TALL * (place // across), WIDE * (place % across)
            start, here = image * height * width * units, tile * units
            if top + TALL <= height and left + WIDE <= width:
                at = start + (top * width + left) * units
                output_tile(m, here, step, units, bias, y, at, width * units)
            else:
                output_tile(m, here, step, units, bias, scratch, 0, WIDE * units)
                _put_back(scratch, y, start, top, left, height, width, units)


@njit(nogil=True, cache=True, boundscheck=False)
def _backward(x, turned, dy, dx, sums, bias, x_shape, y_shape, pad_top, pad_left, input_gradient):
    _, height, width, channels = x_shape
    rows, out_height, out_width, units = y_shape
    across = -(-out_width // WIDE)
    tiles = -(-out_height // TALL) * across
    scratch = np.empty(HIGH * BROAD * max(channels, units), np.float32)
    v = np.zeros(PLANES * _BLOCK * channels, np.float32)
    m = np.zeros(PLANES * _BLOCK * units, np.float32)
    for first in range(0, rows * tiles, _BLOCK):
        count = min(_BLOCK, rows * tiles - first)
        _fill(x, x_shape, y_shape, pad_top, pad_left, first, count, scratch, v)
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = TALL * (place // across), WIDE * (place % across)
            start, there = image * out_height * out_width * units, tile * units
            if top + TALL <= out_height and left + WIDE <= out_width:
                at = start + (top * out_width + left) * units
                gradient_tile(dy, at, out_width * units, units, m, there, _BLOCK * units, bias)
            else:
                _copy_tile(dy, scratch, start, top, left, out_height, out_width, units, TALL, WIDE)
                gradient_tile(scratch, 0, WIDE * units, units, m, there, _BLOCK * units, bias)
        for k in range(PLANES):
            a_at, b_at, c_at = k * _BLOCK * channels, k * _BLOCK * units, k * channels * units
            multiply(v, a_at, 1, channels, m, b_at, units, sums, c_at, units, channels, count, units, True)
        if not input_gradient:
            continue
        for k in range(PLANES):
            a_at, b_at, c_at = k * _BLOCK * units, k * units * channels, k * _BLOCK * channels
            multiply(
                m, a_at, units, 1, turned, b_at, channels, v, c_at, channels, _BLOCK, units, channels, False
            )
        for tile in range(count):
            image, place = divmod(first + tile, tiles)
            top, left = TALL * (place // across) - pad_top, WIDE * (place % across) - pad_left
            start, here = image * height * width * channels, tile * channels
            if top >= 0 and left >= 0 and top + HIGH <= height and left + BROAD <= width:
                at = start + (top * width + left) * channels
                add_tile(v, here, _BLOCK * channels, channels, dx, at, width * channels)
            else:
                scratch[:] = 0
                add_tile(v, here, _BLOCK * channels, channels, scratch, 0, BROAD * channels)
                _add_back(scratch, dx, start, top, left, height, width, channels)
