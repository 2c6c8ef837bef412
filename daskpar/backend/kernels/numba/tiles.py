"""Inner loops of matrix products, with a tile of the result in registers.

    for each k:              b[k, :]  (WIDE = 2 vectors of LANES)
                           ┌───────────┐
    a[:, k]  ROWS numbers ─┤ c += a·b  │  ROWS × 2 registers
                           └───────────┘

Reference:
    Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.typing import BaseContext as TypingContext, Signature
from numba.extending import intrinsic
from numba.types import Type

from daskpar.backend.kernels.numba.vectors import (
    AVX512,
    FLOAT,
    INDEX,
    LANES,
    VECTOR,
    Emitted,
    address,
    as_vector,
    call_intrinsic,
    splatted,
)

WIDE = 2 * LANES  # columns of a tile in registers
ROWS = 8 if AVX512 else 4  # rows of a tile, by the number of registers


def _fetch(builder: IRBuilder, pointer: Value) -> None:
    """Prefetch the cache line at a pointer for writing."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, number(1), number(3), number(1)])


@intrinsic
def turn(
    typing: TypingContext, a: Type, a_at: Type, a_row: Type, out: Type, out_at: Type, out_row: Type
) -> Emitted:
    """Transpose ROWS rows of LANES numbers of `a` to LANES rows of ROWS numbers of `out`.

    Each round interleaves the upper half of the rows with the lower half.
    """
    size = types.intp
    half = ir.VectorType(FLOAT, ROWS)
    whole = ir.VectorType(ir.IntType(32), LANES)

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        a_at, a_row, out_at, out_row = (args[i] for i in (1, 2, 4, 5))

        def place(array: int, start: Value, row: Value, number: int) -> Value:
            index = builder.add(start, builder.mul(row, INDEX(number)))
            return address(context, builder, signature.args[array], args[array], index)

        rows = [builder.load(as_vector(builder, place(0, a_at, a_row, r)), align=4) for r in range(ROWS)]
        for _ in range(ROWS.bit_length() - 1):
            pairs = zip(rows[: ROWS // 2], rows[ROWS // 2 :], strict=True)
            rows = [
                builder.shuffle_vector(one, two, ir.Constant(whole, places))
                for one, two in pairs
                for places in _INTERLEAVED
            ]
        for k in range(LANES):
            at = k * ROWS
            part = ir.Constant(ir.VectorType(ir.IntType(32), ROWS), [at % LANES + i for i in range(ROWS)])
            row = rows[at // LANES]
            value = builder.shuffle_vector(row, row, part)
            pointer = builder.bitcast(place(3, out_at, out_row, k), half.as_pointer())
            builder.store(value, pointer, align=4)
        return context.get_dummy_value()

    return types.void(a, size, size, out, size, size), generate


@intrinsic
def copy_rows(typing: TypingContext, a: Type, a_at: Type, out: Type, out_at: Type) -> Emitted:
    """Copy `out[out_at : out_at + ROWS] = a[a_at : a_at + ROWS]`."""
    half = ir.VectorType(FLOAT, ROWS)

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        there, here = (
            builder.bitcast(address(context, builder, signature.args[i], *args[i : i + 2]), half.as_pointer())
            for i in (2, 0)
        )
        builder.store(builder.load(here, align=4), there, align=4)
        return context.get_dummy_value()

    return types.void(a, types.intp, out, types.intp), generate


_INTERLEAVED = [
    [place for i in range(start, start + LANES // 2) for place in (i, LANES + i)] for start in (0, LANES // 2)
]


def _tile(rows: int, vectors: int, far: bool = False, sums: int = 1) -> Callable[..., None]:
    """Return an intrinsic for the product of `rows` rows and `vectors` vectors of columns, in registers.

    `far` is for a result that is not in the L1 cache: it is prefetched at the start, and added at the end.
    `sums` is the number of partial sums of each element, which are added at the end.
    """
    late = far or sums > 1

    @intrinsic
    def multiply(
        typing: TypingContext,
        a: Type,
        a_at: Type,
        a_row: Type,
        a_step: Type,
        b: Type,
        b_at: Type,
        b_step: Type,
        c: Type,
        c_at: Type,
        c_row: Type,
        depth: Type,
        add: Type,
    ) -> Emitted:
        size = types.intp
        signature = types.void(a, size, size, size, b, size, size, c, size, size, size, types.boolean)

        def generate(
            context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
        ) -> Value:
            a_at, a_row, a_step, b_at, b_step, c_at, c_row, depth, add = (
                args[i] for i in (1, 2, 3, 5, 6, 8, 9, 10, 11)
            )

            def place(array: int, *offsets: Value) -> Value:
                index = offsets[0]
                for offset in offsets[1:]:
                    index = builder.add(index, offset)
                return address(context, builder, signature.args[array], args[array], index)

            at = [
                [
                    as_vector(builder, place(7, c_at, builder.mul(c_row, INDEX(r)), INDEX(LANES * v)))
                    for v in range(vectors)
                ]
                for r in range(rows)
            ]
            each = [(r, v) for r in range(rows) for v in range(vectors)]
            held = [{place: cgutils.alloca_once(builder, VECTOR) for place in each} for _ in range(sums)]
            for r, v in each:
                for part in held:
                    builder.store(ir.Constant(VECTOR, [0.0] * LANES), part[r, v])
                if far:
                    _fetch(builder, at[r][v])
            if not late:
                with builder.if_then(add):
                    for r, v in each:
                        builder.store(builder.load(at[r][v], align=4), held[0][r, v])

            def add_terms(k: Value, part: Value) -> None:
                b_here = builder.add(b_at, builder.mul(k, b_step))
                a_here = builder.add(a_at, builder.mul(k, a_step))
                columns = [
                    builder.load(as_vector(builder, place(4, b_here, INDEX(LANES * v))), align=4)
                    for v in range(vectors)
                ]
                for r in range(rows):
                    number = splatted(builder, builder.load(place(0, a_here, builder.mul(a_row, INDEX(r)))))
                    for v in range(vectors):
                        total = call_intrinsic(builder, "fma", number, columns[v], builder.load(part[r, v]))
                        builder.store(total, part[r, v])

            rounds = builder.udiv(depth, INDEX(sums))
            with cgutils.for_range(builder, rounds) as loop:
                first = builder.mul(loop.index, INDEX(sums))
                for i, part in enumerate(held):
                    add_terms(builder.add(first, INDEX(i)), part)
            if sums > 1:
                with cgutils.for_range(builder, depth, builder.mul(rounds, INDEX(sums))) as loop:
                    add_terms(loop.index, held[0])
            for r, v in each:
                for part in held[1:]:
                    total = builder.fadd(builder.load(held[0][r, v]), builder.load(part[r, v]))
                    builder.store(total, held[0][r, v])
            if late:
                with builder.if_then(add):
                    for r, v in each:
                        total = builder.fadd(builder.load(held[0][r, v]), builder.load(at[r][v], align=4))
                        builder.store(total, held[0][r, v])
            for r, v in each:
                builder.store(builder.load(held[0][r, v]), at[r][v], align=4)
            return context.get_dummy_value()

        return signature, generate

    return multiply


multiply_two = _tile(ROWS, 2)
"""Compute c[r, n] = Σ_k a[r, k]·b[k, n], or += with `add`, for ROWS rows and 2·LANES columns.

Arguments: a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, depth, add. Element (r, k) of a is
`a[a_at + r·a_row + k·a_step]`, (k, n) of b `b[b_at + k·b_step + n]`, (r, n) of c `c[c_at + r·c_row + n]`.
"""
multiply_far = _tile(ROWS, 2, far=True)
"""Like `multiply_two`, for a `c` that is not in the L1 cache."""
multiply_one = _tile(ROWS, 1)
"""Like `multiply_two`, for LANES columns."""
multiply_apart = _tile(ROWS, 1, sums=2)
"""Like `multiply_one`, with separate sums of even and odd terms, and c added at the end, to round less."""
