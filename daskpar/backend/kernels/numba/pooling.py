"""Max pooling in one pass over the image: the maximum of each window, and its tap number."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.marks import keep_larger, where_equal
from daskpar.backend.kernels.numba.simd import load, splat, store
from daskpar.backend.kernels.numba.vectors import LANES
from daskpar.backend.kernels.reference.convolution import Geometry, Pair

_LOWEST = np.float32(-math.inf)


def max_pool(x: np.ndarray, size: Pair, how: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima (rows, height', width', channels) and the tap number of each (uint8)."""
    if x.shape[3] % LANES:
        return reference.max_pool(x, size, how)
    shape = (x.shape[0], *how.output(x.shape[1:3], size), x.shape[3])
    y, where = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    top, left = how.padding[0][0], how.padding[1][0]
    x = np.ascontiguousarray(x)
    arrays = x.reshape(-1), y.reshape(-1), where.reshape(-1)
    _max_pool(*arrays, x.shape, shape, size, how.stride, how.dilation, top, left)
    return y, where


def max_pool_backward(
    dy: np.ndarray, where: np.ndarray, image: Pair, size: Pair, how: Geometry
) -> np.ndarray:
    """Return the input gradient (rows, *image, channels)."""
    if dy.shape[3] % LANES:
        return reference.max_pool_backward(dy, where, image, size, how)
    # windows that tile the image write each pixel exactly once
    whole = how.stride == size and how.dilation == (1, 1) and not any(map(any, how.padding))
    whole = whole and image[0] % size[0] == image[1] % size[1] == 0
    dx = (np.empty if whole else np.zeros)((dy.shape[0], *image, dy.shape[3]), np.float32)
    top, left = how.padding[0][0], how.padding[1][0]
    dy, where = np.ascontiguousarray(dy), np.ascontiguousarray(where)
    arrays = dy.reshape(-1), where.reshape(-1), dx.reshape(-1)
    _max_pool_backward(*arrays, dx.shape, dy.shape, size, how.stride, how.dilation, top, left, whole)
    return dx


@njit(nogil=True, cache=True)
def _max_pool(x, y, where, x_shape, y_shape, size, stride, dilation, top, left):
    """Write the maxima of flat `x` (rows, height, width, channels) to `y`, and their taps to `where`."""
    rows, height, width, channels = x_shape
    at = 0
    for image in range(rows):
        for i in range(y_shape[1]):
            for j in range(y_shape[2]):
                for c in range(at, at + channels, LANES):
                    store(y, c, splat(_LOWEST))
                where[at : at + channels] = 0
                for tap in range(size[0] * size[1]):
                    down = i * stride[0] - top + tap // size[1] * dilation[0]
                    across = j * stride[1] - left + tap % size[1] * dilation[1]
                    if 0 <= down < height and 0 <= across < width:
                        here = ((image * height + down) * width + across) * channels
                        for c in range(0, channels, LANES):
                            keep_larger(load(x, here + c), y, at + c, where, tap)
                at += channels


@njit(nogil=True, cache=True)
def _max_pool_backward(dy, where, dx, x_shape, y_shape, size, stride, dilation, top, left, whole):
    """Add each gradient to the pixel of its maximum in flat `dx`; with `whole`, write it instead."""
    rows, height, width, channels = x_shape
    at = 0
    for image in range(rows):
        for i in range(y_shape[1]):
            for j in range(y_shape[2]):
                for tap in range(size[0] * size[1]):
                    down = i * stride[0] - top + tap // size[1] * dilation[0]
                    across = j * stride[1] - left + tap % size[1] * dilation[1]
                    if 0 <= down < height and 0 <= across < width:
                        here = ((image * height + down) * width + across) * channels
                        for c in range(0, channels, LANES):
                            share = where_equal(load(dy, at + c), where, at + c, tap)
                            store(dx, here + c, share if whole else load(dx, here + c) + share)
                at += channels
