"""The kernels in plain array functions, on any device and in any precision: what compiled ones must equal."""

from __future__ import annotations

import math
from typing import Any

from daskpar.backend.array import Array, array_module

_ROOT = math.sqrt(2 / math.pi)  # Python floats: they leave the dtype of an array alone (NEP 50)
_CUBIC = 0.044715


def gelu(x: Array) -> tuple[Array, Any]:
    """GELU in the tanh form, and what `gelu_backward` needs."""
    inner = array_module(x).tanh(_ROOT * (x + _CUBIC * (x * x * x)))
    return 0.5 * x * (1 + inner), x


def gelu_backward(saved: Any, dy: Array) -> Array:
    """dx of GELU, from its input."""
    x = saved
    inner = array_module(x).tanh(_ROOT * (x + _CUBIC * (x * x * x)))
    slope = (1 - inner * inner) * (_ROOT * (1 + 3 * _CUBIC * (x * x)))
    return dy * (0.5 * (1 + inner) + 0.5 * x * slope)
