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
    return 0.5 * x * (1 + _inner(x))


def gelu_backward(x: Array, dy: Array) -> Array:
    """dx of `gelu`, from its input."""
    inner = _inner(x)
    slope = (1 - inner * inner) * (_ROOT * (1 + 3 * _CUBIC * (x * x)))
    return dy * (0.5 * (1 + inner) + 0.5 * x * slope)


def _inner(x: Array) -> Array:
    return array_module(x).tanh(_ROOT * (x + _CUBIC * (x * x * x)))
