"""Helper threads that compute a part of another thread's matrix product, without the interpreter's lock.

A helper polls for orders in machine code, and sleeps when there has been none for a while. An order is a line
of numbers with the addresses of the operands and of the helper's part of the result (`orders.py`). Results
are cut between tiles, so that their bits are the same for any number of helpers.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from daskpar.backend.kernels.numba.atomic import APART, look, put
from daskpar.backend.kernels.numba.orders import serve

_LOOKS = 1_500_000  # polls without an order before a helper sleeps: less than half a millisecond
_FIELDS = 32  # numbers of an order, at most


class Crew:
    """A number of helper threads; a thread must hold `lock` to use them."""

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
        """Start all helpers on order `number`, which is in `orders`."""
        for helper in range(self.helpers):
            put(self.posted, helper * APART, number)
            if look(self.asleep, helper * APART):
                self._wake[helper].set()

    def _serve(self, helper: int) -> None:
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
    """Return this process's helper threads of this number; the first call starts them."""
    if helpers not in _crews:
        with _making:
            if helpers not in _crews:
                _crews[helpers] = Crew(helpers)
    return _crews[helpers]


def _renew() -> None:
    """Forget the helpers of a parent process, because a forked child has none of its threads."""
    global _making
    _crews.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
