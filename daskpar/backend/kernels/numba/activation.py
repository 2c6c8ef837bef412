"""Activations, each in one pass over the array."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import exp, fma, load, maximum, minimum, splat, store
from daskpar.backend.kernels.numba.vectors import LANES

_DOUBLE = np.float32(2 * math.sqrt(2 / math.pi))
_CUBIC = np.float32(2 * math.sqrt(2 / math.pi) * 0.044715)
_SLOPE = np.float32(6 * math.sqrt(2 / math.pi) * 0.044715)
_ONE = np.float32(1)
_WIDE = np.float32(16)


def relu_backward(y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return the input gradient of ReLU from its output; all arrays have the same shape."""
    dx = np.empty(dy.shape, np.float32)
    _relu_backward(_flat(y), _flat(dy), dx.reshape(-1))
    return dx


def gelu(x: np.ndarray) -> np.ndarray:
    """Return GELU in the tanh form, shaped like `x`."""
    y = np.empty(x.shape, np.float32)
    _gelu(_flat(x), y.reshape(-1), y.reshape(-1)[:0], False)
    return y


def gelu_with_slope(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return GELU and its derivative, both shaped like `x`."""
    y, slope = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    _gelu(_flat(x), y.reshape(-1), slope.reshape(-1), True)
    return y, slope


def _flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1)


@njit(nogil=True, cache=True)
def _relu_backward(y, dy, dx):
    """Write the input gradient of ReLU to flat `dx`."""
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else np.float32(0)


@njit(inline="always")
def _gelu_of(x):
    """Return (y, slope) of a vector.

    The gate ½(1 + tanh(u)), with u = √(2/π)(x + 0.044715x³), is computed as the logistic function of 2u. In
    it, x is limited to ±16, where the gate is 0 or 1 already, so that x³ does not overflow.
    """
    one = splat(_ONE)
    near = minimum(maximum(x, splat(-_WIDE)), splat(_WIDE))
    square = near * near
    inner = near * fma(square, splat(_CUBIC), splat(_DOUBLE))
    away = exp(splat(np.float32(0)) - inner)
    gate = one / (one + away)  # away * gate is 1 - gate, without cancellation
    return x * gate, gate * fma(near * (away * gate), fma(square, splat(_SLOPE), splat(_DOUBLE)), one)


@njit(nogil=True, cache=True)
def _gelu(x, y, slope, sloped):
    """Write GELU of flat `x` to `y`, and with `sloped` its derivative to `slope`."""
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        value, rate = _gelu_of(load(x, i))
        store(y, i, value)
        if sloped:
            store(slope, i, rate)
    if whole < x.size:
        rest = np.zeros(LANES, np.float32)
        rest[: x.size - whole] = x[whole:]
        value, rate = _gelu_of(load(rest, 0))
        store(rest, 0, value)
        y[whole:] = rest[: x.size - whole]
        if sloped:
            store(rest, 0, rate)
            slope[whole:] = rest[: x.size - whole]
