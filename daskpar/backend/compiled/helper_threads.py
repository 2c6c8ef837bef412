"""Threads that help one other with a product, without the interpreter's lock.

A helper looks out for orders in machine code, and goes to sleep when there have been none for a while. An
order is a line of numbers: where the operands and the helper's part of the result lie in memory. As
results are cut between tiles, the bits of a result are the same for any number of helpers.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from daskpar.backend.compiled.atomic import APART, look, put
from daskpar.backend.compiled.orders import serve

_LOOKS = 1_500_000  # less than half a millisecond without an order, after which a helper sleeps
_FIELDS = 32


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
