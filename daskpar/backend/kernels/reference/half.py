"""Compression of gradients to float16 with a common scale, and the rounding error for error feedback."""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module

_TOP = 15  # the largest float16 is just below 2^16


def to_half(x: Array, rest: Array | None = None) -> tuple[Array, float]:
    """Return x + rest as float16 (elements,), divided by a power of two, and that power.

    The power of two brings the largest element to the top of float16's range. `x` and `rest` are
    (elements,); None for `rest` is zero.
    """
    xp = array_module(x)
    total = x if rest is None else x + rest
    scale = power_above(float(xp.abs(total).max()) if total.size else 0.0)
    return (total * (1 / scale)).astype(xp.float16), scale


def add_half(half: Array, scale: float, out: Array) -> None:
    """Add `half * scale` to `out` (elements,) in place; `half` and `scale` come from `to_half`."""
    rounded = half.astype(out.dtype)
    rounded *= scale
    out += rounded


def left_by_half(x: Array, rest: Array | None = None) -> Array:
    """Return the rounding error of `to_half(x, rest)`: x + rest less its rounded value (elements,)."""
    total = x.copy() if rest is None else x + rest
    half, scale = to_half(total)
    add_half(half, -scale, total)
    return total


def power_above(largest: float) -> float:
    """Return the power of two to divide by so that `largest` is near the top of float16's range."""
    if not largest or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, max(math.frexp(largest)[1] - _TOP, -100))
