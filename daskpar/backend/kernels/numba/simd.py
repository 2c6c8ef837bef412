"""Operations on vectors of LANES float32 numbers, which Numba compiles to vector instructions.

`load`, `store`, `splat`, `fma` and the operators +, -, * and / work on all lanes at once. They emit LLVM
instructions directly, because LLVM's vectoriser fails for loops with as many arrays as these kernels have.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.typing import BaseContext as TypingContext, Signature
from numba.extending import intrinsic, overload
from numba.types import Type

from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.vectors import (
    FLOAT,
    LANES,
    VECTOR,
    Emitted,
    address,
    as_vector,
    call_intrinsic,
    splatted,
    vector,
)


@intrinsic
def load(typing: TypingContext, array: Type, index: Type) -> Emitted:
    """Load `array[index : index + LANES]` of a contiguous float32 array."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        pointer = address(context, builder, signature.args[0], *args)
        return builder.load(as_vector(builder, pointer), align=4)

    return vector(array, types.intp), generate


@intrinsic
def store(typing: TypingContext, array: Type, index: Type, value: Type) -> Emitted:
    """Store `array[index : index + LANES] = value` in a contiguous float32 array."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], as_vector(builder, pointer), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def splat(typing: TypingContext, number: Type) -> Emitted:
    """Return a vector with one number in all lanes."""
    return vector(types.float32), lambda context, builder, signature, args: splatted(builder, args[0])


@intrinsic
def fma(typing: TypingContext, a: Type, b: Type, c: Type) -> Emitted:
    """Return a·b + c, lane by lane and rounded once."""
    return vector(vector, vector, vector), lambda context, builder, signature, args: call_intrinsic(
        builder, "fma", *args
    )


@intrinsic
def maximum(typing: TypingContext, a: Type, b: Type) -> Emitted:
    """Return the larger numbers, lane by lane."""
    return vector(vector, vector), lambda context, builder, signature, args: call_intrinsic(
        builder, "maxnum", *args
    )


@intrinsic
def at_least(typing: TypingContext, value: Type, floor: Type) -> Emitted:
    """Return `value` limited to `floor` from below, lane by lane; NaN stays NaN."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return vector(vector, vector), generate


@intrinsic
def minimum(typing: TypingContext, a: Type, b: Type) -> Emitted:
    """Return the smaller numbers, lane by lane."""
    return vector(vector, vector), lambda context, builder, signature, args: call_intrinsic(
        builder, "minnum", *args
    )


@intrinsic
def first(typing: TypingContext, value: Type, count: Type, other: Type) -> Emitted:
    """Return `value` in the first `count` lanes, and `other` in the rest."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        whole = ir.VectorType(ir.IntType(32), LANES)
        lane = ir.Constant(whole, list(range(LANES)))
        one = builder.insert_element(
            ir.Constant(whole, ir.Undefined), builder.trunc(args[1], ir.IntType(32)), ir.IntType(32)(0)
        )
        zeros = ir.Constant(whole, [0] * LANES)
        counts = builder.shuffle_vector(one, ir.Constant(whole, ir.Undefined), zeros)
        return builder.select(builder.icmp_signed("<", lane, counts), args[0], args[2])

    return vector(vector, types.intp, vector), generate


@intrinsic
def where_positive(typing: TypingContext, value: Type, other: Type) -> Emitted:
    """Return `value` in lanes where `other` is above zero, and zero elsewhere."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        zeros = ir.Constant(VECTOR, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", args[1], zeros), args[0], zeros)

    return vector(vector, vector), generate


@intrinsic
def total(typing: TypingContext, a: Type) -> Emitted:
    """Return the sum of all lanes."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        kind = ir.FunctionType(FLOAT, [FLOAT, VECTOR])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(FLOAT, 0.0), args[0]], fastmath=("reassoc",))

    return types.float32(vector), generate


@intrinsic
def largest(typing: TypingContext, a: Type) -> Emitted:
    """Return the largest number of all lanes."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        kind = ir.FunctionType(FLOAT, [VECTOR])
        name = f"llvm.vector.reduce.fmax.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, args, fastmath=("nnan",))  # a NaN shows in the sum that follows

    return types.float32(vector), generate


@intrinsic
def _round(typing: TypingContext, a: Type) -> Emitted:
    return vector(vector), lambda context, builder, signature, args: call_intrinsic(builder, "rint", *args)


@intrinsic
def _two_to_the(typing: TypingContext, a: Type) -> Emitted:
    """Return 2ⁿ for integers n from −126 to 127, made from the bits of a float32."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        whole = ir.VectorType(ir.IntType(32), LANES)
        exponent = builder.add(builder.fptosi(args[0], whole), ir.Constant(whole, [127] * LANES))
        bits = builder.shl(exponent, ir.Constant(whole, [23] * LANES))
        return builder.bitcast(bits, VECTOR)

    return vector(vector), generate


_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(-0.693359375), np.float32(2.12194440e-4)
_LEAST, _MOST = np.float32(-87.3), np.float32(88.3)
_C5, _C4, _C3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C2, _C1, _C0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@njit(inline="always")
def exp(x):
    """Return the exponential of a vector, to 1e-7, with x limited to -87.3 ... 88.3.

    Reference:
        Moshier, Cephes mathematical library, `expf`. https://www.netlib.org/cephes/
    """
    x = minimum(maximum(x, splat(_LEAST)), splat(_MOST))
    n = _round(x * splat(_LOG2_E))
    r = fma(n, splat(_LN2_LOW), fma(n, splat(_LN2_HIGH), x))
    y = fma(splat(_C5), r, splat(_C4))
    y = fma(fma(fma(fma(y, r, splat(_C3)), r, splat(_C2)), r, splat(_C1)), r, splat(_C0))
    return (fma(y, r * r, r) + splat(np.float32(1))) * _two_to_the(n)


def _operator(symbol: Callable[..., object], instruction: str) -> None:
    """Implement an operator for two vectors."""

    @intrinsic
    def apply(typing: TypingContext, a: Type, b: Type) -> Emitted:
        return vector(vector, vector), lambda context, builder, signature, args: getattr(
            builder, instruction
        )(*args)

    @overload(symbol, inline="always")
    def implement(a, b):  # Numba compares this with the lambda
        if a is vector and b is vector:
            return lambda a, b: apply(a, b)
        return None


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_symbol, _instruction)
