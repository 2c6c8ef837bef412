"""Conversion to and from float16 by the processor's vector instructions; NumPy converts one at a time.

The reference converts the end of an array that does not fill a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import njit, types
from numba.core.base import BaseContext
from numba.core.typing import BaseContext as TypingContext, Signature
from numba.extending import intrinsic
from numba.types import Type

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.simd import largest, load, maximum, splat, store
from daskpar.backend.kernels.numba.vectors import LANES, Emitted, address, vector
from daskpar.backend.kernels.reference.half import power_above

_HALVES = ir.VectorType(ir.HalfType(), LANES)
_NOTHING = np.empty(0, np.float32)


def to_half(x: np.ndarray, rest: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Return x + rest as float16 (elements,) divided by a power of two, and that power."""
    half, whole = np.empty(x.size, np.float16), x.size - x.size % LANES
    x, given = np.ascontiguousarray(x), _NOTHING if rest is None else np.ascontiguousarray(rest)
    scale = _scale(x, given, whole)
    _to_half(x, given, np.float32(1 / scale), half.view(np.uint16), whole)
    half[whole:] = _sum(x, given, whole) * np.float32(1 / scale)
    return half, scale


def add_half(half: np.ndarray, scale: float, out: np.ndarray) -> None:
    """Add `half * scale` to `out` (elements,) in place."""
    whole = half.size - half.size % LANES if out.flags.c_contiguous else 0
    _add_half(np.ascontiguousarray(half).view(np.uint16), np.float32(scale), out, whole)
    reference.add_half(half[whole:], scale, out[whole:])


def left_by_half(x: np.ndarray, rest: np.ndarray | None = None) -> np.ndarray:
    """Return the rounding error of `to_half(x, rest)` (elements,)."""
    left, whole = np.empty(x.size, np.float32), x.size - x.size % LANES
    x, given = np.ascontiguousarray(x), _NOTHING if rest is None else np.ascontiguousarray(rest)
    scale = np.float32(_scale(x, given, whole))
    _left_by_half(x, given, 1 / scale, scale, left, whole)
    end = _sum(x, given, whole)
    left[whole:] = end - (end * (1 / scale)).astype(np.float16).astype(np.float32) * scale
    return left


def _sum(x: np.ndarray, rest: np.ndarray, start: int) -> np.ndarray:
    return x[start:] + rest[start:] if rest.size else x[start:]


def _scale(x: np.ndarray, rest: np.ndarray, whole: int) -> float:
    end = float(np.abs(_sum(x, rest, whole)).max(initial=0))
    return power_above(max(end, _largest(x, rest, whole)))


def _halves_at(context: BaseContext, builder: IRBuilder, kind: Type, array: Value, index: Value) -> Value:
    return builder.bitcast(address(context, builder, kind, array, index), _HALVES.as_pointer())


@intrinsic
def _load(typing: TypingContext, array: Type, index: Type) -> Emitted:
    """Load `array[index : index + LANES]` of float16 bits in a uint16 array, as float32."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        found = builder.load(_halves_at(context, builder, signature.args[0], *args), align=2)
        return builder.fpext(found, ir.VectorType(ir.FloatType(), LANES))

    return vector(array, types.intp), generate


@intrinsic
def _store(typing: TypingContext, array: Type, index: Type, value: Type) -> Emitted:
    """Store `array[index : index + LANES] = value` as float16 bits in a uint16 array, rounded to nearest."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        place = _halves_at(context, builder, signature.args[0], *args[:2])
        builder.store(builder.fptrunc(args[2], _HALVES), place, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def _rounded(typing: TypingContext, value: Type) -> Emitted:
    """Round each number to the nearest float16, as float32."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        return builder.fpext(builder.fptrunc(args[0], _HALVES), ir.VectorType(ir.FloatType(), LANES))

    return vector(vector), generate


@njit(inline="always")
def _both(x, rest, i):
    """Return a vector of x + rest; an empty `rest` is zero."""
    return load(x, i) + load(rest, i) if rest.size else load(x, i)


@njit(nogil=True, cache=True)
def _largest(x, rest, whole):
    """Return the largest absolute value of the first `whole` elements of x + rest."""
    top = splat(np.float32(0))
    for i in range(0, whole, LANES):
        value = _both(x, rest, i)
        top = maximum(top, maximum(value, splat(np.float32(0)) - value))
    return largest(top)


@njit(nogil=True, cache=True)
def _to_half(x, rest, factor, half, whole):
    """Write (x + rest) · factor as float16 bits to `half` (uint16)."""
    for i in range(0, whole, LANES):
        _store(half, i, _both(x, rest, i) * splat(factor))


@njit(nogil=True, cache=True)
def _add_half(half, scale, out, whole):
    """Add half · scale to the first `whole` elements of `out`."""
    for i in range(0, whole, LANES):
        store(out, i, load(out, i) + _load(half, i) * splat(scale))


@njit(nogil=True, cache=True)
def _left_by_half(x, rest, factor, scale, left, whole):
    """Write the rounding error of the first `whole` elements of x + rest to `left`."""
    for i in range(0, whole, LANES):
        value = _both(x, rest, i)
        store(left, i, value - _rounded(value * splat(factor)) * splat(scale))
