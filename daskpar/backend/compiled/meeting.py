"""Waiting for other threads without going to sleep: for waits that are shorter than waking up takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from daskpar.backend.compiled.simd import address

APART = 16  # numbers between those of two threads, which lie in cache lines of their own


@intrinsic
def _seen(typing: Any, array: Any, index: Any) -> Any:
    """`array[index]` as other threads have left it, with all that they wrote before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(address(context, builder, signature.args[0], *args), "acquire", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def _told(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """`array[index] = value` for other threads to see, after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = address(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(builder.sext(args[2], ir.IntType(64)), where, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@njit(nogil=True, cache=True)
def meet(counts: np.ndarray, thread: int, number: int, looks: int) -> bool:
    """Tell that `thread` has come to meeting `number`; whether all others came within so many looks."""
    _told(counts, thread * APART, number)
    for other in range(counts.size // APART):
        left = looks
        while _seen(counts, other * APART) < number:
            left -= 1
            if left == 0:
                return False
    return True
