"""Tap numbers of max pooling, one byte for each maximum, in vectors of LANES bytes."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core.base import BaseContext
from numba.core.typing import BaseContext as TypingContext, Signature
from numba.extending import intrinsic
from numba.types import Type

from daskpar.backend.kernels.numba.vectors import LANES, VECTOR, Emitted, address, as_vector, vector

_BYTES = ir.VectorType(ir.IntType(8), LANES)


def _bytes_at(context: BaseContext, builder: IRBuilder, kind: Type, array: Value, index: Value) -> Value:
    return builder.bitcast(address(context, builder, kind, array, index), _BYTES.as_pointer())


def _bytes_of(builder: IRBuilder, number: Value) -> Value:
    """Return a vector of LANES equal bytes."""
    byte = builder.trunc(number, ir.IntType(8))
    one = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), byte, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_BYTES, ir.Undefined), zeros)


@intrinsic
def keep_larger(
    typing: TypingContext, value: Type, best: Type, best_at: Type, where: Type, number: Type
) -> Emitted:
    """Store the larger of `value` and `best[best_at:]` there, and `number` in `where` if it was `value`."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        at = as_vector(builder, address(context, builder, signature.args[1], args[1], args[2]))
        marks = _bytes_at(context, builder, signature.args[3], args[3], args[2])
        before = builder.load(at, align=4)
        larger = builder.fcmp_ordered(">", args[0], before)
        builder.store(builder.select(larger, args[0], before), at, align=4)
        kept = builder.select(larger, _bytes_of(builder, args[4]), builder.load(marks, align=1))
        builder.store(kept, marks, align=1)
        return context.get_dummy_value()

    return types.void(vector, best, types.intp, where, types.intp), generate


@intrinsic
def where_equal(typing: TypingContext, value: Type, where: Type, where_at: Type, number: Type) -> Emitted:
    """Return `value` in lanes whose byte from `where[where_at]` on equals `number`, and zero elsewhere."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        marks = builder.load(_bytes_at(context, builder, signature.args[1], args[1], args[2]), align=1)
        equal = builder.icmp_unsigned("==", marks, _bytes_of(builder, args[3]))
        return builder.select(equal, args[0], ir.Constant(VECTOR, [0.0] * LANES))

    return vector(vector, where, types.intp, types.intp), generate
