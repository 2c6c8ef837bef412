"""Atomic access to numbers that threads share, in machine code and without a lock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import carray, types
from numba.core.base import BaseContext
from numba.core.typing import BaseContext as TypingContext, Signature
from numba.extending import intrinsic
from numba.types import Type

from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.vectors import Emitted, address

APART = 16  # distance between the numbers of two threads, so that each has its own cache line


@intrinsic
def seen(typing: TypingContext, array: Type, index: Type) -> Emitted:
    """Read `array[index]` (int64) atomically, together with everything its writer wrote before."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        return builder.load_atomic(address(context, builder, signature.args[0], *args), "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def tell(typing: TypingContext, array: Type, index: Type, value: Type) -> Emitted:
    """Write `array[index] = value` (int64) atomically, after everything written before."""

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        where = address(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(builder.sext(args[2], ir.IntType(64)), where, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic
def _pointer(typing: TypingContext, place: Type) -> Emitted:
    """Return a pointer to the float32 at an address."""
    kind = types.CPointer(types.float32)

    def generate(
        context: BaseContext, builder: IRBuilder, signature: Signature, args: Sequence[Value]
    ) -> Value:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.int64), generate


@njit(inline="always")
def array_at(place, size):
    """Return the float32 array (size,) at an address, or an empty array for the address 0."""
    return carray(_pointer(place), (size if place else 0,))


def place_of(array: np.ndarray | None) -> int:
    """Return the address of an array's first number, or 0 for None and for an empty array."""
    return 0 if array is None or array.size == 0 else array.__array_interface__["data"][0]


@njit(nogil=True, cache=True)
def look(array: np.ndarray, index: int) -> int:
    """Read `array[index]` atomically, as `seen` does, from Python."""
    return seen(array, index)


@njit(nogil=True, cache=True)
def put(array: np.ndarray, index: int, value: int) -> None:
    """Write `array[index] = value` atomically, as `tell` does, from Python."""
    tell(array, index, value)
