"""Numbers in half precision for a wire, and what rounding to it has left out."""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module

_TOP = 15  # halves reach to just below 2^16


def to_half(x: Array, rest: Array | None = None) -> tuple[Array, float]:
    """x + rest in float16 (elements,), and the power of two to multiply it by: halves of the best range."""
    xp = array_module(x)
    total = x if rest is None else x + rest
    scale = power_above(float(xp.abs(total).max()) if total.size else 0.0)
    return (total * (1 / scale)).astype(xp.float16), scale


def add_half(half: Array, scale: float, out: Array) -> None:
    """out <- out + what `to_half` was given, rounded."""
    rounded = half.astype(out.dtype)
    rounded *= scale
    out += rounded


def left_by_half(x: Array, rest: Array | None = None) -> Array:
    """x + rest, less what `to_half` makes of it."""
    total = x.copy() if rest is None else x + rest
    half, scale = to_half(total)
    add_half(half, -scale, total)
    return total


def power_above(largest: float) -> float:
    """The power of two that brings numbers up to `largest` to the top of what a half can hold."""
    if not largest or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, max(math.frexp(largest)[1] - _TOP, -100))
