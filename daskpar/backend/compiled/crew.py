"""Threads that help one other with a product, without the interpreter's lock.

A helper looks out for orders in machine code, and goes to sleep when there have been none for a while. An
order is a line of numbers: where the operands and the helper's part of the result lie in memory. As
results are cut between tiles, the bits of a result are the same for any number of helpers.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from daskpar.backend.compiled.kept import njit
from daskpar.backend.compiled.simd import address

APART = 16  # numbers between those of two threads, which lie in cache lines of their own
_LOOKS = 1_500_000  # less than half a millisecond without an order, after which a helper sleeps
_FIELDS = 32


@intrinsic
def seen(typing: Any, array: Any, index: Any) -> Any:
    """`array[index]` as other threads have left it, with all that they wrote before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(address(context, builder, signature.args[0], *args), "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def tell(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """`array[index] = value` for other threads to see, after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = address(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(builder.sext(args[2], ir.IntType(64)), where, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic
def _pointer(typing: Any, place: Any) -> Any:
    """A pointer to the float32 at an address."""
    kind = types.CPointer(types.float32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.int64), generate


@njit(inline="always")
def array_at(place, size):
    """The `size` numbers at an address, none where it is 0."""
    return carray(_pointer(place), (size if place else 0,))


def place_of(array: np.ndarray | None) -> int:
    """The address of an array's first number, 0 where there is none."""
    return 0 if array is None or array.size == 0 else array.__array_interface__["data"][0]


@njit(nogil=True, cache=True)
def look(array: np.ndarray, index: int) -> int:
    """`seen`, for the interpreter."""
    return seen(array, index)


@njit(nogil=True, cache=True)
def put(array: np.ndarray, index: int, value: int) -> None:
    """`tell`, for the interpreter."""
    tell(array, index, value)


class Crew:
    """So many helpers of whoever holds `lock`."""

    def __init__(self, helpers: int):
        self.lock = threading.Lock()
        self.helpers = helpers
        self.orders = np.zeros((helpers, _FIELDS), np.int64)
        self.posted, self.done, self.asleep = (np.zeros(helpers * APART, np.int64) for _ in range(3))
        self._wake = [threading.Event() for _ in range(helpers)]
        for helper in range(helpers):
            name = f"daskpar-helper-{helper}"
            threading.Thread(target=self._serve, args=(helper,), name=name, daemon=True).start()

    def post(self, number: int) -> None:
        """Let all helpers see that order `number` lies in `orders`."""
        for helper in range(self.helpers):
            put(self.posted, helper * APART, number)
            if look(self.asleep, helper * APART):
                self._wake[helper].set()

    def _serve(self, helper: int) -> None:
        from daskpar.backend.compiled.matrix import serve

        last, at = 0, helper * APART
        while True:
            last = serve(self.orders[helper], self.posted, self.done, at, last, _LOOKS)
            put(self.asleep, at, 1)
            if look(self.posted, at) == last:
                self._wake[helper].wait()
            self._wake[helper].clear()
            put(self.asleep, at, 0)


_crews: dict[int, Crew] = {}
_making = threading.Lock()


def crew(helpers: int) -> Crew:
    """This process's crew of so many."""
    if helpers not in _crews:
        with _making:
            if helpers not in _crews:
                _crews[helpers] = Crew(helpers)
    return _crews[helpers]


def _renew() -> None:
    """Forget the crews of a parent process: a forked child has none of its threads."""
    global _making
    _crews.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
