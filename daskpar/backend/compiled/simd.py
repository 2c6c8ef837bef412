"""Vectors of float32 as values that Numba compiles into the processor's own vector registers.

`load`, `store`, `splat`, `fma` and the operators +, -, *, / work on LANES numbers at once; `multiply_two` is
the inner loop of a matrix product, with a tile of the result held in registers (Goto and van de Geijn 2008,
"Anatomy of high-performance matrix multiplication", sec. 4). They are written in LLVM's own instructions,
because its vectoriser gives up on loops that read and write as many places as these kernels do.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from daskpar.backend.compiled.kept import njit

_AVX512 = binding.get_host_cpu_features().get("avx512f", False)
LANES = 16 if _AVX512 else 8
WIDE = 2 * LANES  # columns of a tile in registers
ROWS = 8 if _AVX512 else 4  # of a tile: what the registers hold

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)


class Vector(types.Type):
    """LANES numbers of float32."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, _VECTOR)


def address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where element `index` of an array of this Numba type lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _as_vector(builder: Any, pointer: Any) -> Any:
    return builder.bitcast(pointer, _VECTOR.as_pointer())


def _splat(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _intrinsic(builder: Any, name: str, *values: Any) -> Any:
    """Call LLVM's intrinsic of this name on vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(values))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, values)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """`array[index : index + LANES]` of a contiguous float32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], *args)
        return builder.load(_as_vector(builder, pointer), align=4)

    return vector(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """`array[index : index + LANES] = value`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], _as_vector(builder, pointer), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """A vector of one number, LANES times."""
    return vector(types.float32), lambda context, builder, signature, args: _splat(builder, args[0])


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once."""
    return vector(vector, vector, vector), lambda context, builder, signature, args: _intrinsic(
        builder, "fma", *args
    )


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """The larger, lane by lane."""
    return vector(vector, vector), lambda context, builder, signature, args: _intrinsic(
        builder, "maxnum", *args
    )


@intrinsic
def at_least(typing: Any, value: Any, floor: Any) -> Any:
    """`floor` where `value` is below it, and `value` elsewhere: NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return vector(vector, vector), generate


@intrinsic
def minimum(typing: Any, a: Any, b: Any) -> Any:
    """The smaller, lane by lane."""
    return vector(vector, vector), lambda context, builder, signature, args: _intrinsic(
        builder, "minnum", *args
    )


@intrinsic
def first(typing: Any, value: Any, count: Any, other: Any) -> Any:
    """`value` in the first `count` lanes, `other` in the rest."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
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
def where_positive(typing: Any, value: Any, other: Any) -> Any:
    """`value` where `other` is above zero, zero elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zeros = ir.Constant(_VECTOR, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", args[1], zeros), args[0], zeros)

    return vector(vector, vector), generate


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(_FLOAT, 0.0), args[0]], fastmath=("reassoc",))

    return types.float32(vector), generate


@intrinsic
def largest(typing: Any, a: Any) -> Any:
    """The largest of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_VECTOR])
        name = f"llvm.vector.reduce.fmax.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, args, fastmath=("nnan",))  # a NaN shows in the sum that follows

    return types.float32(vector), generate


@intrinsic
def _round(typing: Any, a: Any) -> Any:
    return vector(vector), lambda context, builder, signature, args: _intrinsic(builder, "rint", *args)


@intrinsic
def _two_to_the(typing: Any, a: Any) -> Any:
    """2ⁿ for whole numbers n from −126 to 127, put together from the bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.VectorType(ir.IntType(32), LANES)
        exponent = builder.add(builder.fptosi(args[0], whole), ir.Constant(whole, [127] * LANES))
        bits = builder.shl(exponent, ir.Constant(whole, [23] * LANES))
        return builder.bitcast(bits, _VECTOR)

    return vector(vector), generate


_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(-0.693359375), np.float32(2.12194440e-4)
_LEAST, _MOST = np.float32(-87.3), np.float32(88.3)
_C5, _C4, _C3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C2, _C1, _C0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@njit(inline="always")
def exp(x):
    """exp(x) to 1e-7, with x held between -87.3 and 88.3 (Moshier, Cephes library, expf)."""
    x = minimum(maximum(x, splat(_LEAST)), splat(_MOST))
    n = _round(x * splat(_LOG2_E))
    r = fma(n, splat(_LN2_LOW), fma(n, splat(_LN2_HIGH), x))
    y = fma(splat(_C5), r, splat(_C4))
    y = fma(fma(fma(fma(y, r, splat(_C3)), r, splat(_C2)), r, splat(_C1)), r, splat(_C0))
    return (fma(y, r * r, r) + splat(np.float32(1))) * _two_to_the(n)


def _operator(symbol: Any, instruction: str) -> None:
    """Let `symbol` work on two vectors."""

    @intrinsic
    def apply(typing: Any, a: Any, b: Any) -> Any:
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


_BYTES = ir.VectorType(ir.IntType(8), LANES)


def _bytes_at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.bitcast(address(context, builder, kind, array, index), _BYTES.as_pointer())


def _bytes_of(builder: Any, number: Any) -> Any:
    """A vector of one byte, LANES times."""
    byte = builder.trunc(number, ir.IntType(8))
    one = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), byte, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_BYTES, ir.Undefined), zeros)


@intrinsic
def keep_larger(typing: Any, value: Any, best: Any, best_at: Any, where: Any, number: Any) -> Any:
    """Where `value` is larger than `best[best_at:]` put it there, and `number` at that place of `where`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _as_vector(builder, address(context, builder, signature.args[1], args[1], args[2]))
        marks = _bytes_at(context, builder, signature.args[3], args[3], args[2])
        before = builder.load(at, align=4)
        larger = builder.fcmp_ordered(">", args[0], before)
        builder.store(builder.select(larger, args[0], before), at, align=4)
        kept = builder.select(larger, _bytes_of(builder, args[4]), builder.load(marks, align=1))
        builder.store(kept, marks, align=1)
        return context.get_dummy_value()

    return types.void(vector, best, types.intp, where, types.intp), generate


@intrinsic
def where_equal(typing: Any, value: Any, where: Any, where_at: Any, number: Any) -> Any:
    """`value` where the bytes from `where[where_at]` on equal `number`, zero elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        marks = builder.load(_bytes_at(context, builder, signature.args[1], args[1], args[2]), align=1)
        equal = builder.icmp_unsigned("==", marks, _bytes_of(builder, args[3]))
        return builder.select(equal, args[0], ir.Constant(_VECTOR, [0.0] * LANES))

    return vector(vector, where, types.intp, types.intp), generate


def _fetch(builder: Any, pointer: Any) -> None:
    """Ask for the cache line at a pointer, to be written to."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, number(1), number(3), number(1)])


@intrinsic
def turn(typing: Any, a: Any, a_at: Any, a_row: Any, out: Any, out_at: Any, out_row: Any) -> Any:
    """ROWS rows of LANES numbers of `a` become LANES rows of ROWS numbers of `out`.

    By rounds of interleaving the upper half of the rows with the lower one.
    """
    size = types.intp
    half = ir.VectorType(_FLOAT, ROWS)
    whole = ir.VectorType(ir.IntType(32), LANES)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a_at, a_row, out_at, out_row = (args[i] for i in (1, 2, 4, 5))

        def place(array: int, start: Any, row: Any, number: int) -> Any:
            index = builder.add(start, builder.mul(row, _INDEX(number)))
            return address(context, builder, signature.args[array], args[array], index)

        rows = [builder.load(_as_vector(builder, place(0, a_at, a_row, r)), align=4) for r in range(ROWS)]
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
def copy_rows(typing: Any, a: Any, a_at: Any, out: Any, out_at: Any) -> Any:
    """`out[out_at : out_at + ROWS] = a[a_at : a_at + ROWS]`."""
    half = ir.VectorType(_FLOAT, ROWS)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
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
    """The product of `rows` rows with `vectors` vectors of columns, in registers.

    `far`: the result is not in the nearest cache; it is asked for at the start, and needed at the end.
    `sums`: how many sums are made of each number of the result's terms, and added up at the end.
    """
    late = far or sums > 1

    @intrinsic
    def multiply(
        typing: Any,
        a: Any,
        a_at: Any,
        a_row: Any,
        a_step: Any,
        b: Any,
        b_at: Any,
        b_step: Any,
        c: Any,
        c_at: Any,
        c_row: Any,
        depth: Any,
        add: Any,
    ) -> Any:
        size = types.intp
        signature = types.void(a, size, size, size, b, size, size, c, size, size, size, types.boolean)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_at, a_row, a_step, b_at, b_step, c_at, c_row, depth, add = (
                args[i] for i in (1, 2, 3, 5, 6, 8, 9, 10, 11)
            )

            def place(array: int, *offsets: Any) -> Any:
                index = offsets[0]
                for offset in offsets[1:]:
                    index = builder.add(index, offset)
                return address(context, builder, signature.args[array], args[array], index)

            at = [
                [
                    _as_vector(builder, place(7, c_at, builder.mul(c_row, _INDEX(r)), _INDEX(LANES * v)))
                    for v in range(vectors)
                ]
                for r in range(rows)
            ]
            each = [(r, v) for r in range(rows) for v in range(vectors)]
            held = [{place: cgutils.alloca_once(builder, _VECTOR) for place in each} for _ in range(sums)]
            for r, v in each:
                for part in held:
                    builder.store(ir.Constant(_VECTOR, [0.0] * LANES), part[r, v])
                if far:
                    _fetch(builder, at[r][v])
            if not late:
                with builder.if_then(add):
                    for r, v in each:
                        builder.store(builder.load(at[r][v], align=4), held[0][r, v])

            def add_terms(k: Any, part: Any) -> None:
                b_here = builder.add(b_at, builder.mul(k, b_step))
                a_here = builder.add(a_at, builder.mul(k, a_step))
                columns = [
                    builder.load(_as_vector(builder, place(4, b_here, _INDEX(LANES * v))), align=4)
                    for v in range(vectors)
                ]
                for r in range(rows):
                    number = _splat(builder, builder.load(place(0, a_here, builder.mul(a_row, _INDEX(r)))))
                    for v in range(vectors):
                        total = _intrinsic(builder, "fma", number, columns[v], builder.load(part[r, v]))
                        builder.store(total, part[r, v])

            rounds = builder.udiv(depth, _INDEX(sums))
            with cgutils.for_range(builder, rounds) as loop:
                first = builder.mul(loop.index, _INDEX(sums))
                for i, part in enumerate(held):
                    add_terms(builder.add(first, _INDEX(i)), part)
            if sums > 1:
                with cgutils.for_range(builder, depth, builder.mul(rounds, _INDEX(sums))) as loop:
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
"""c[r, n] (+)= Σ_k a[r, k]·b[k, n] for ROWS rows and 2·LANES columns.

Arguments: a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, depth, add. Element (r, k) of a is
`a[a_at + r·a_row + k·a_step]`, (k, n) of b `b[b_at + k·b_step + n]`, (r, n) of c `c[c_at + r·c_row + n]`.
"""
multiply_far = _tile(ROWS, 2, far=True)
"""As `multiply_two`, for a `c` that is not in the nearest cache."""
multiply_one = _tile(ROWS, 1)
"""As `multiply_two`, for LANES columns."""
multiply_apart = _tile(ROWS, 1, sums=2)
"""As `multiply_one`, with every other term summed apart, and c added at the end: less is rounded away."""
