"""Activations with a kernel: the backward pass of ReLU, and GELU with its derivative.

Reference:
    Hendrycks and Gimpel 2016, "Gaussian error linear units (GELUs)", section 2. https://arxiv.org/abs/1606.08415
"""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module

_ROOT = math.sqrt(2 / math.pi)  # Python floats: they leave the dtype of an array alone (NEP 50)
_CUBIC = 0.044715


def relu_backward(y: Array, dy: Array) -> Array:
    """Return the input gradient of `y = max(x, 0)` from its output `y` and the gradient `dy`, same shapes."""
    return dy * (y > 0)


def gelu(x: Array) -> Array:
    """Return GELU in the tanh form, element-wise: ½x(1 + tanh(√(2/π)(x + 0.044715x³)))."""
    return 0.5 * x * (1 + _inner(_near(x)))


def gelu_with_slope(x: Array) -> tuple[Array, Array]:
    """Return `gelu(x)` and its derivative, both shaped like `x`."""
    near = _near(x)
    inner = _inner(near)
    slope = (1 - inner * inner) * (_ROOT * (1 + 3 * _CUBIC * (near * near)))
    return 0.5 * x * (1 + inner), 0.5 * (1 + inner) + 0.5 * near * slope


def _near(x: Array) -> Array:
    """Return `x` limited to ±16, where the gate is 0 or 1 already; larger values of x³ could overflow."""
    return array_module(x).clip(x, -16, 16)


def _inner(x: Array) -> Array:
    return array_module(x).tanh(_ROOT * (x + _CUBIC * (x * x * x)))
