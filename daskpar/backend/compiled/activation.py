"""Activations in one pass each."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from daskpar.backend.compiled.simd import LANES, exp, fma, load, splat, store

_DOUBLE = np.float32(2 * math.sqrt(2 / math.pi))
_CUBIC = np.float32(2 * math.sqrt(2 / math.pi) * 0.044715)
_SLOPE = np.float32(6 * math.sqrt(2 / math.pi) * 0.044715)
_ONE = np.float32(1)


def relu_backward(y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx = np.empty(dy.shape, np.float32)
    _relu_backward(_flat(y), _flat(dy), dx.reshape(-1))
    return dx


def gelu(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.shape, np.float32)
    _gelu(_flat(x), y.reshape(-1))
    return y


def gelu_backward(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx = np.empty(x.shape, np.float32)
    _gelu_backward(_flat(x), _flat(dy), dx.reshape(-1))
    return dx


def _flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1)


@njit(nogil=True, cache=True)
def _relu_backward(y, dy, dx):
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else np.float32(0)


@njit(inline="always")
def _gate(x):
    """The logistic function of 2√(2/π)(x + 0.044715x³): ½(1 + tanh) of half of that."""
    inner = x * fma(x * x, splat(_CUBIC), splat(_DOUBLE))
    one = splat(_ONE)
    return one / (one + exp(splat(np.float32(0)) - inner))


@njit(inline="always")
def _gelu_slope(x):
    gate = _gate(x)
    one = splat(_ONE)
    return gate * (one + x * (one - gate) * fma(x * x, splat(_SLOPE), splat(_DOUBLE)))


@njit(nogil=True, cache=True)
def _gelu(x, y):
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        a = load(x, i)
        store(y, i, a * _gate(a))
    if whole < x.size:
        rest = np.zeros(LANES, np.float32)
        rest[: x.size - whole] = x[whole:]
        a = load(rest, 0)
        store(rest, 0, a * _gate(a))
        y[whole:] = rest[: x.size - whole]


@njit(nogil=True, cache=True)
def _gelu_backward(x, dy, dx):
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        store(dx, i, load(dy, i) * _gelu_slope(load(x, i)))
    if whole < x.size:
        rest = np.zeros(LANES, np.float32)
        rest[: x.size - whole] = x[whole:]
        store(rest, 0, _gelu_slope(load(rest, 0)))
        dx[whole:] = dy[whole:] * rest[: x.size - whole]
