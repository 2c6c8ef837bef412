"""Activations that are worth a kernel of their own."""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module

_ROOT = math.sqrt(2 / math.pi)  # Python floats: they leave the dtype of an array alone (NEP 50)
_CUBIC = 0.044715


def relu_backward(y: Array, dy: Array) -> Array:
    """dx of max(x, 0), from its output."""
    return dy * (y > 0)


def gelu(x: Array) -> Array:
    """GELU in the tanh form: ½x(1 + tanh(√(2/π)(x + 0.044715x³)))."""
    return 0.5 * x * (1 + _inner(_near(x)))


def gelu_with_slope(x: Array) -> tuple[Array, Array]:
    """`gelu` and its derivative, for the backward pass to multiply with."""
    near = _near(x)
    inner = _inner(near)
    slope = (1 - inner * inner) * (_ROOT * (1 + 3 * _CUBIC * (near * near)))
    return 0.5 * x * (1 + inner), 0.5 * (1 + inner) + 0.5 * near * slope


def _near(x: Array) -> Array:
    """`x` where the gate is neither open nor shut: beyond, x³ may be more than a number can hold."""
    return array_module(x).clip(x, -16, 16)


def _inner(x: Array) -> Array:
    return array_module(x).tanh(_ROOT * (x + _CUBIC * (x * x * x)))
