"""The share, the speed and the time left of a run, by the moments at which its steps were done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_MOMENTS = 64  # that the pace is taken over: some 20 seconds of windows


class Throttle:
    """Lets one of many calls through every `seconds`, so that what they do costs nothing."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic):
        self._seconds, self._now = seconds, now
        self._next = -1.0

    def __call__(self) -> bool:
        now = self._now()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


@dataclass
class Meter:
    """The pace of a count that grows, e.g. of steps, to its `total`.

    It is taken from the first time that the count has grown: what came before was the start.

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
        """Take note that the count is so much now."""
        self.count = count
        self._moments.append((count, self.now()))

    @property
    def span(self) -> tuple[int, int, float] | None:
        """The counts that the pace is taken between, and the seconds that lie between them."""
        if len(self._moments) < 2:
            return None
        (first, begun), (last, ended) = self._moments[0], self._moments[-1]
        return first, last, ended - begun

    @property
    def left(self) -> float | None:
        """The seconds that the rest will take at this pace; None while there is none yet."""
        if self.span is None:
            return None
        first, last, seconds = self.span
        return seconds / max(1, last - first) * max(0, self.total - last)
