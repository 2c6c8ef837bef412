"""Update rules of the optimizers, in one pass that reads and writes each array once."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels.numba.kernel_cache import njit


def sgd_update(p: np.ndarray, g: np.ndarray, lr: float) -> None:
    """Update parameters (elements,) in place by SGD."""
    _sgd(p, g, np.float32(lr))


def momentum_update(
    p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, momentum: float, nesterov: bool
) -> None:
    """Update parameters and momentum (elements,) in place by SGD with momentum."""
    _momentum(p, g, v, np.float32(lr), np.float32(momentum), nesterov)


def adam_update(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
    rate: float,
    root: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Update parameters and both moments (elements,) in place by Adam."""
    rest = 1 - beta1, 1 - beta2
    _adam(p, g, m, s, *map(np.float32, (rate, root, beta1, beta2, *rest, epsilon)))


@njit(nogil=True, cache=True)
def _sgd(p, g, lr):
    """Update flat parameters in place by SGD."""
    for i in range(p.size):
        p[i] -= lr * g[i]


@njit(nogil=True, cache=True)
def _momentum(p, g, v, lr, momentum, nesterov):
    """Update flat parameters and momentum in place."""
    if nesterov:
        for i in range(p.size):
            moved = momentum * v[i] + g[i]
            v[i] = moved
            p[i] -= lr * (g[i] + momentum * moved)
    else:
        for i in range(p.size):
            moved = momentum * v[i] + g[i]
            v[i] = moved
            p[i] -= lr * moved


@njit(nogil=True, cache=True, error_model="numpy")
def _adam(p, g, m, s, rate, root, beta1, beta2, rest1, rest2, epsilon):
    """Update flat parameters and both moments in place by Adam."""
    for i in range(p.size):
        mean = beta1 * m[i] + rest1 * g[i]
        square = beta2 * s[i] + rest2 * (g[i] * g[i])
        m[i] = mean
        s[i] = square
        p[i] -= rate * mean / (root * math.sqrt(square) + epsilon)
