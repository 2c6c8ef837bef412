"""The speed and the time left of a run, from the times at which its steps were done."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_MOMENTS = 64  # over which the pace is averaged: about 20 seconds of windows


class Throttle:
    """Limit on frequent work: a call returns True once in `seconds`, and False in between.

    The first call returns True, except after `restart`.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic):
        self._seconds, self._now = seconds, now
        self._next = -math.inf

    def __call__(self) -> bool:
        now = self._now()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def restart(self) -> None:
        """Return False for the next `seconds`."""
        self._next = self._now() + self._seconds


@dataclass
class Meter:
    """Pace of a count that grows to its `total`, e.g. of steps.

    The time before the first count is ignored: it belongs to the start of the run.

    >>> seconds = iter([5.0, 7.0]).__next__
    >>> meter = Meter(total=100, now=seconds)
    >>> meter.reach(10)
    >>> meter.reach(30)
    >>> meter.left
    7.0
    """

    total: int
    count: int = 0
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._moments: deque[tuple[int, float]] = deque(maxlen=_MOMENTS)

    def reach(self, count: int) -> None:
        """Record the current count and its time."""
        self.count = count
        self._moments.append((count, self.now()))

    @property
    def span(self) -> tuple[int, int, float] | None:
        """The first and the last count of the average, and the seconds between them; None at the start."""
        if len(self._moments) < 2:
            return None
        (first, begun), (last, ended) = self._moments[0], self._moments[-1]
        return first, last, ended - begun

    @property
    def left(self) -> float | None:
        """The seconds left at the current pace; None at the start."""
        if self.span is None:
            return None
        first, last, seconds = self.span
        return seconds / max(1, last - first) * max(0, self.total - last)
