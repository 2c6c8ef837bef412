"""Layer normalisation, row by row, so that a row stays in the L1 cache."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import load, splat, store, total
from daskpar.backend.kernels.numba.vectors import LANES
from daskpar.backend.kernels.reference.norm import overflows


def layer_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the output and the normalised `x` (..., features), and 1 / deviation (..., 1)."""
    if x.shape[-1] % LANES:
        return reference.layer_norm(x, scale, shift, epsilon)
    y, normal = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    inverse = np.empty((*x.shape[:-1], 1), np.float32)
    inputs = (_flat(x), _flat(scale), _flat(shift))
    _layer_norm(*inputs, y.reshape(-1), normal.reshape(-1), inverse.reshape(-1), np.float32(epsilon))
    if overflows(inverse):
        return reference.layer_norm(x, scale, shift, epsilon)
    return y, normal, inverse


def layer_norm_backward(
    dy: np.ndarray, normal: np.ndarray, inverse: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of `x` (..., features), of the scale and of the shift (features,)."""
    if dy.shape[-1] % LANES:
        return reference.layer_norm_backward(dy, normal, inverse, scale)
    dx, d_scale, d_shift = np.empty(dy.shape, np.float32), np.zeros_like(scale), np.zeros_like(scale)
    arrays = (dy, normal, inverse, scale, dx, d_scale, d_shift)
    _layer_norm_backward(*map(_flat, arrays))
    return dx, d_scale, d_shift


def _flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1)


@njit(nogil=True, cache=True)
def _layer_norm(x, scale, shift, y, normal, inverse, epsilon):
    """Write output, normalised input (rows, features) and 1 / deviation (rows,), all flat."""
    width = scale.size
    share = np.float32(1) / np.float32(width)
    for row in range(inverse.size):
        start = row * width
        sums = splat(np.float32(0))
        for c in range(0, width, LANES):
            sums = sums + load(x, start + c)
        mean = splat(total(sums) * share)
        squares = splat(np.float32(0))
        for c in range(0, width, LANES):
            centred = load(x, start + c) - mean
            squares = squares + centred * centred
        factor = np.float32(1) / np.float32(math.sqrt(total(squares) * share + epsilon))
        inverse[row] = factor
        for c in range(0, width, LANES):
            value = (load(x, start + c) - mean) * splat(factor)
            store(normal, start + c, value)
            store(y, start + c, value * load(scale, c) + load(shift, c))


@njit(nogil=True, cache=True)
def _layer_norm_backward(dy, normal, inverse, scale, dx, d_scale, d_shift):
    """Write the input gradient (rows, features), and add to the gradients of scale and shift (features,)."""
    width = scale.size
    share = np.float32(1) / np.float32(width)
    for row in range(inverse.size):
        start = row * width
        sums, products = splat(np.float32(0)), splat(np.float32(0))
        for c in range(0, width, LANES):
            d, n = load(dy, start + c), load(normal, start + c)
            store(d_shift, c, load(d_shift, c) + d)
            store(d_scale, c, load(d_scale, c) + d * n)
            d = d * load(scale, c)
            sums = sums + d
            products = products + d * n
        mean, along = splat(total(sums) * share), splat(total(products) * share)
        factor = splat(inverse[row])
        for c in range(0, width, LANES):
            d = load(dy, start + c) * load(scale, c)
            store(dx, start + c, (d - mean - load(normal, start + c) * along) * factor)
