"""A pace for work beside a training that may take a share of the time only."""

from __future__ import annotations

import time


class Pace:
    """Says when the work is due again: it is at first, and then as often as it takes a twentieth of the time.

    >>> pace = Pace()
    >>> with pace:
    ...     time.sleep(0.01)
    >>> pace.is_due
    False
    """

    def __init__(self) -> None:
        self._next = 0.0

    @property
    def is_due(self) -> bool:
        return time.perf_counter() >= self._next

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        now = time.perf_counter()
        self._next = now + 19 * (now - self._start)
