"""A curve in bounded memory, whatever its number of steps: each bucket of steps keeps its extremes.

    steps    1 2 3 4 | 5 6 7 8 | 9 ...      a bucket keeps its lowest and its highest point, so no peak is
    kept       v   ^   ^     v   *          lost; when there are too many buckets, neighbours are merged

Points that are kept are exact: no value is averaged or rounded.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

BUCKETS = 800
"""Most buckets of a series; a screen has about as many columns."""


class Points(NamedTuple):
    """Points of a series from step `since_step` on: steps `x`, and values `y`, None where not finite."""

    since_step: int
    x: list[int]
    y: list[float | None]


class Series:
    """Points (step, value) in the order of their steps.

    Each change has a version, a number that grows. `since(version)` returns the points that are newer, so a
    reader who polls gets each point about once.

    Args:
        most: Most buckets that are kept.

    Example:
        >>> series = Series(most=2)
        >>> for step, value in enumerate([5.0, 1.0, 9.0, 3.0, 4.0, 2.0]):
        ...     series.add(step, value, version=step)
        >>> series.stride, series.since(-1)
        (4, Points(since_step=0, x=[1, 2, 4, 5], y=[1.0, 9.0, 4.0, 2.0]))
        >>> series.since(4)
        Points(since_step=4, x=[4, 5], y=[4.0, 2.0])
    """

    def __init__(self, most: int = BUCKETS):
        self.most, self.stride = most, 1
        self.last: tuple[int, float] | None = None
        self._replaced = -1  # the version at which earlier points were merged or removed
        self._bucket, self._version = array("q"), array("q")
        self._low_at, self._low = array("q"), array("d")
        self._high_at, self._high = array("q"), array("d")

    def add(self, step: int, value: float, version: int) -> None:
        """Add a point. Points of this step and of later ones, from before a restart, are removed first."""
        if self.last is not None and step <= self.last[0]:
            self._rewind(step, version)
        bucket = step // self.stride
        self.last = step, value
        if self._bucket and self._bucket[-1] == bucket:
            self._version[-1] = version
            if _is_below(value, self._low[-1]):
                self._low_at[-1], self._low[-1] = step, value
            if _is_below(-value, -self._high[-1]):
                self._high_at[-1], self._high[-1] = step, value
            return
        self._bucket.append(bucket)
        self._version.append(version)
        self._low_at.append(step)
        self._low.append(value)
        self._high_at.append(step)
        self._high.append(value)
        if len(self._bucket) > self.most:
            self._merge(version)

    def since(self, version: int) -> Points | None:
        """Return the points that are newer than a version; None if there are none."""
        first = 0
        if self._replaced <= version:
            first = len(self._bucket)
            while first and self._version[first - 1] > version:
                first -= 1
            if first == len(self._bucket):
                return None
        x: list[int] = []
        y: list[float | None] = []
        for i in range(first, len(self._bucket)):
            low, high = (self._low_at[i], self._low[i]), (self._high_at[i], self._high[i])
            for step, value in sorted({low, high}) if low[0] != high[0] else (low,):
                x.append(step)
                y.append(value if math.isfinite(value) else None)
        if self.last is not None and (not x or x[-1] != self.last[0]):
            x.append(self.last[0])
            y.append(self.last[1] if math.isfinite(self.last[1]) else None)
        return Points(self._bucket[first] * self.stride if self._bucket and first else 0, x, y)

    def __len__(self) -> int:
        return len(self._bucket)

    def _merge(self, version: int) -> None:
        """Merge neighbouring buckets until all have room."""
        while len(self._bucket) > self.most:
            self._halve()
        self._version = array("q", [version]) * len(self._bucket)
        self._replaced = version

    def _halve(self) -> None:
        columns = (self._bucket, self._low_at, self._low, self._high_at, self._high)
        self.stride *= 2
        merged: dict[int, tuple[int, float, int, float]] = {}
        for bucket, low_at, low, high_at, high in zip(*columns, strict=True):
            other = merged.get(bucket // 2)
            if other is None:
                merged[bucket // 2] = low_at, low, high_at, high
                continue
            lowest = (low_at, low) if _is_below(low, other[1]) else other[:2]
            highest = (high_at, high) if _is_below(-high, -other[3]) else other[2:]
            merged[bucket // 2] = *lowest, *highest
        self._bucket[:] = array("q", merged)
        rows = list(merged.values())
        self._low_at[:] = array("q", [row[0] for row in rows])
        self._low[:] = array("d", [row[1] for row in rows])
        self._high_at[:] = array("q", [row[2] for row in rows])
        self._high[:] = array("d", [row[3] for row in rows])

    def _rewind(self, step: int, version: int) -> None:
        """Remove the bucket of a step, and later ones."""
        kept = len(self._bucket)
        while kept and self._bucket[kept - 1] >= step // self.stride:
            kept -= 1
        for column in (self._bucket, self._version, self._low_at, self._high_at):
            del column[kept:]
        del self._low[kept:], self._high[kept:]
        self._replaced = version
        self.last = None


def _is_below(value: float, other: float) -> bool:
    """Return whether a value is lower; one that is not finite gives way to any that is."""
    return math.isfinite(value) and (value < other or not math.isfinite(other))
