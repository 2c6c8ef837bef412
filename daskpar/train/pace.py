"""A limit on the time of work beside a training."""

from __future__ import annotations

import time


class Pace:
    """Limits repeated work to a twentieth of the time: `is_due` is True once enough time has passed.

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
        """True before the first work, and again when 19 times its duration has passed."""
        return time.perf_counter() >= self._next

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        now = time.perf_counter()
        self._next = now + 19 * (now - self._start)
