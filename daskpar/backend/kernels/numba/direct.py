"""Convolutions with few input channels, e.g. a first layer on images, by patches that stay in the L1 cache.

    x ── gather ──> patches (taps · in + 1, pixels)
                    patchesᵀ @ matrix (taps · in + 1, out) ──> y (pixels, out)

The last line of the patches is ones, and the last line of the matrix is the bias. So outputs are written
once, and their gradients are read once.
"""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.activation import relu_backward
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import at_least, load, splat, store
from daskpar.backend.kernels.numba.tiles import ROWS, multiply_one, multiply_two
from daskpar.backend.kernels.numba.vectors import LANES
from daskpar.backend.kernels.reference.convolution import Geometry, Pair

_PIXELS = 96  # about as many pixels of the output are computed at once
_TAPS = 63  # at most: taps · input channels of a patch
_ZERO = np.float32(0)


def supports(image: Pair, weight: np.ndarray, how: Geometry) -> bool:
    """Return whether these kernels support a convolution of images (height, width).

    `weight` is (kernel height, kernel width, in, out).
    """
    return how.groups == 1 and math.prod(weight.shape[:3]) <= _TAPS and weight.shape[3] % LANES == 0


def forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry, rectify: bool
) -> np.ndarray:
    """Return the convolution (rows, height', width', out) of `x` (rows, height, width, in)."""
    units = weight.shape[3]
    y = np.empty((x.shape[0], *how.output(x.shape[1:3], weight.shape[:2]), units), np.float32)
    last = np.zeros((1, units), np.float32) if bias is None else bias[None]
    matrix = np.concatenate([weight.reshape(-1, units), last])
    _forward(x.reshape(-1), matrix.reshape(-1), y.reshape(-1), rectify, *_shapes(x, weight, y, how))
    return y


def backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, how: Geometry, input_gradient: bool, rectified: bool
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `x`, or None, of the weight and of the bias."""
    units, taps = weight.shape[3], math.prod(weight.shape[:3])
    sums = np.zeros((-(-(taps + 1) // ROWS) * ROWS, units), np.float32)
    _backward(x.reshape(-1), dy.reshape(-1), sums.reshape(-1), *_shapes(x, weight, dy, how))
    dx = reference.conv2d_input_gradient(dy, weight, x.shape[1:3], how) if input_gradient else None
    if dx is not None and rectified:
        dx = relu_backward(x, dx)
    return dx, sums[:taps].reshape(weight.shape), sums[taps]


def _shapes(x: np.ndarray, weight: np.ndarray, y: np.ndarray, how: Geometry) -> tuple[tuple[int, ...], ...]:
    (top, _), (left, _) = how.padding
    return x.shape, weight.shape, y.shape, how.stride, how.dilation, (top, left)


@njit(inline="always")
def _gather(x, first, count, patches, size, x_shape, shape, y_shape, stride, dilation, before):
    """Gather the patches of `count` rows of pixels of the output, from row `first` on.

    `patches` has a line of `size` pixels for each tap and input channel. Its last line, of ones, is kept.
    """
    _, height, across, channels = x_shape
    wide = y_shape[2]
    for r in range(count):
        image, place = divmod(first + r, y_shape[1])
        for i in range(shape[0]):
            row = place * stride[0] - before[0] + i * dilation[0]
            line = (image * height + row) * across
            for j in range(shape[1]):
                offset = j * dilation[1] - before[1]
                # the pixels of this row whose tap is within the image
                start = min(max(0, -(offset // stride[1])), wide)
                stop = min(max(start, (across - 1 - offset) // stride[1] + 1), wide)
                if row < 0 or row >= height:
                    stop = start
                for c in range(channels):
                    to = ((i * shape[1] + j) * channels + c) * size + r * wide
                    here = (line + offset) * channels + c
                    for p in range(start):
                        patches[to + p] = np.float32(0)
                    if stride[1] * channels == 1:
                        for p in range(start, stop):
                            patches[to + p] = x[here + p]
                    else:
                        for p in range(start, stop):
                            patches[to + p] = x[here + p * stride[1] * channels]
                    for p in range(stop, wide):
                        patches[to + p] = np.float32(0)


@njit(inline="always")
def _multiply(a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, rows, depth, columns, add):
    """Compute c = a·b, or c += a·b with `add`; rows are a multiple of ROWS, columns of LANES."""
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
def _block(y_shape):
    """Return the rows of pixels that are computed at once, and the number of these pixels in whole tiles."""
    lines = max(1, _PIXELS // max(1, y_shape[2]))
    return lines, -(-lines * y_shape[2] // ROWS) * ROWS


@njit(nogil=True, cache=True, boundscheck=False)
def _forward(x, matrix, y, rectify, x_shape, shape, y_shape, stride, dilation, before):
    """Write the convolution to flat `y`; `matrix` (taps · in + 1, out) has the weight and the bias."""
    depth, units = shape[0] * shape[1] * shape[2] + 1, shape[3]
    rows, (lines, size) = y_shape[0] * y_shape[1], _block(y_shape)
    patches = np.ones(depth * size, np.float32)
    rest = np.empty(size * units, np.float32)
    for first in range(0, rows, lines):
        count = min(lines, rows - first)
        _gather(x, first, count, patches, size, x_shape, shape, y_shape, stride, dilation, before)
        at = first * y_shape[2] * units
        if at + size * units <= y.size:  # the next block overwrites pixels written beyond this one
            _multiply(patches, 0, 1, size, matrix, 0, units, y, at, units, size, depth, units, False)
        else:
            _multiply(patches, 0, 1, size, matrix, 0, units, rest, 0, units, size, depth, units, False)
            y[at:] = rest[: y.size - at]
        if rectify:
            for i in range(at, at + count * y_shape[2] * units, LANES):
                store(y, i, at_least(load(y, i), splat(_ZERO)))


@njit(nogil=True, cache=True, boundscheck=False)
def _backward(x, dy, sums, x_shape, shape, y_shape, stride, dilation, before):
    """Add the gradients of weight and bias to flat `sums` (taps in whole tiles, out)."""
    units = shape[3]
    rows, (lines, size) = y_shape[0] * y_shape[1], _block(y_shape)
    taps = sums.size // units
    patches = np.ones(taps * size, np.float32)
    for first in range(0, rows, lines):
        count = min(lines, rows - first)
        _gather(x, first, count, patches, size, x_shape, shape, y_shape, stride, dilation, before)
        at, pixels = first * y_shape[2] * units, count * y_shape[2]
        _multiply(patches, 0, size, 1, dy, at, units, sums, 0, units, taps, pixels, units, True)
