"""The account of a training's wall time: productive steps, and the rest by cause.

Goodput is the share of the wall time that was spent in steps that count, as in Google's
ml-goodput-measurement. The client's clock is read once a window of steps, so steps are not slowed down.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from statistics import median
from typing import Protocol

from daskpar.train.events import Evaluated, Evaluating, Event, Saved, StepsDone

START, EVALUATION, CHECKPOINTS, RECOVERY, OTHER = "start", "evaluation", "checkpoints", "recovery", "other"
CAUSES = (START, EVALUATION, CHECKPOINTS, RECOVERY, OTHER)
"""The causes of time that is not productive."""

_WINDOWS = 64  # whose median pace is the usual one
_FEWEST = 3  # windows before there is a usual pace
_SLOW = 2.0  # times the usual seconds of a window, and
_STALL = 0.5  # seconds beyond them, before a window counts as disturbed


class Goodput:
    """Account of wall time. Each call books the time since the call before it, so nothing counts twice.

    All time before the first window ends is the start: the preparation of data, kernels, the first steps.
    Time that a later window takes beyond the usual pace of windows is recovery, if it is long: a worker was
    killed, or steps were computed again.

    >>> seconds = iter([0.0, 2.0, 3.0, 4.0]).__next__
    >>> account = Goodput(now=seconds)
    >>> account.steps(1)
    >>> account.steps(10)
    >>> account.spend("evaluation")
    >>> account.share, account.badput["start"], account.badput["evaluation"]
    (0.25, 2.0, 1.0)
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now = now
        self._since = now()
        self._callbacks = 0.0
        self._begun = False
        self._paces: deque[float] = deque(maxlen=_WINDOWS)
        self.productive = 0.0
        self.badput = dict.fromkeys(CAUSES, 0.0)

    def steps(self, count: int) -> None:
        """Book the time of a window of `count` steps."""
        span, callbacks = self._lap(), self._callbacks
        self._callbacks = 0.0
        if not self._begun:
            self._begun = True
            self.badput[START] += span
            return
        usual = median(self._paces) * count if len(self._paces) >= _FEWEST else span
        self._paces.append(span / count)
        lost = span - usual
        if span <= _SLOW * usual or lost <= _STALL:
            self.productive += span
            return
        by_callbacks = min(lost, max(0.0, callbacks - usual))
        self.productive += usual
        self.badput[OTHER] += by_callbacks
        self.badput[RECOVERY] += lost - by_callbacks

    def callbacks(self, beside: bool) -> None:
        """Book the time of callbacks after a window; `beside` is True if workers compute meanwhile."""
        if beside:
            self._callbacks = self._now() - self._since  # a part of the next window's time
        else:
            self.spend(OTHER)

    def spend(self, cause: str) -> None:
        """Book time that is not productive."""
        span, callbacks = self._lap(), self._callbacks
        self._callbacks = 0.0
        self.badput[OTHER if self._begun else START] += callbacks
        self.badput[cause if self._begun else START] += span - callbacks

    def part(self, cause: str, seconds: float) -> None:
        """Book some seconds of the time since the last call; the rest of it is still to be booked."""
        if self._begun:
            self.badput[cause] += seconds
            self._since += seconds

    def _lap(self) -> float:
        before, self._since = self._since, self._now()
        return self._since - before

    @property
    def share(self) -> float | None:
        """The productive share of the time booked so far, from 0 to 1; None before any time is booked."""
        total = self.productive + sum(self.badput.values())
        return self.productive / total if total > 0 else None

    def totals(self) -> dict[str, float]:
        """Return the seconds by name, for a checkpoint."""
        return {"productive": self.productive, **self.badput}

    def take_up(self, totals: Mapping[str, float]) -> None:
        """Continue the account of a run that is resumed."""
        self.productive += totals.get("productive", 0.0)
        for cause in CAUSES:
            self.badput[cause] += totals.get(cause, 0.0)


class _Driver(Protocol):
    evaluation_seconds: float


def booked(
    events: Generator[Event, None, None], account: Goodput, driver: _Driver, beside: bool
) -> Iterator[Event]:
    """Yield the events of a run, and book the time before and after each.

    `beside` is True if workers compute while callbacks run. `driver` has the seconds of evaluations that were
    computed together with steps.
    """
    with closing(events):
        for event in events:
            match event:
                case StepsDone(entries, _):
                    account.part(EVALUATION, driver.evaluation_seconds)
                    driver.evaluation_seconds = 0.0
                    account.steps(len(entries))
                case Evaluating() | Evaluated():
                    account.spend(EVALUATION)
                case Saved():
                    account.spend(CHECKPOINTS)
                case _:
                    account.spend(OTHER)
            yield event
            if isinstance(event, StepsDone):
                account.callbacks(beside)
            else:
                account.spend(OTHER)
