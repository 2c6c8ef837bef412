"""The history of a run as it grows: sums of steps, and a record at each evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from daskpar.tasks import add_sums
from daskpar.tasks.types import Log, Spec, Sums
from daskpar.train.events import Entry
from daskpar.train.history import Record, mean_loss, scores, without_value

logger = logging.getLogger("daskpar")


class Recorder:
    """Adds up the steps since the last evaluation, and makes a record of them.

    `history`: the records so far. `without_value`: names of scores that had no finite value, and were
    reported.
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        self.history: list[Record] = []
        self.without_value: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        self._sums: Sums = ()
        self._each: dict[str, list[Any]] = {"loss": [], "lr": []}

    @property
    def since(self) -> list[Any]:
        """The sums, and the values of each step, since the last evaluation."""
        return [self._sums, self._each]

    def take_up(self, history: list[Record], since: list[Any]) -> None:
        """Go on from the history in a checkpoint."""
        self.history, (sums, self._each) = history, since
        self._sums = tuple(sums)

    def add(self, log: Log, rate: Callable[[int], float]) -> list[Entry]:
        """Add steps; returns their entries. `rate` gives the learning rate of a step."""
        entries: list[Entry] = [(step, sums, rate(step)) for step, sums, _ in log]
        for _, sums, lr in entries:
            self._sums = add_sums(self._sums, sums)
            self._each["loss"].append(mean_loss(self.spec, sums))
            self._each["lr"].append(lr)
        stale = [list(entry.staleness) for entry in log if entry.staleness]
        if stale:
            self._each.setdefault("staleness", []).extend(stale)  # a number for each lane
        return entries

    def record(self, step: int, seconds: float, validation: dict[str, Any]) -> Record:
        """Make a record of an evaluation after `step` steps, and warn of scores without a value."""
        record: Record = {
            "step": step,
            "epoch": step / self.spec.order.steps,
            "lr": self._each["lr"][-1] if self._each["lr"] else None,
            "train": scores(self.spec, self._sums),
            "validation": validation,
            "seconds": round(seconds, 3),
            "examples_per_second": round(self.spec.order.drawn(step) / seconds, 1),
            "each_step": self._each,
        }
        self.history.append(record)
        for part in ("train", "validation"):
            for name, line in without_value(self.spec, part, record[part]).items():
                if name not in self.without_value:
                    logger.warning("step %d: %s; it counts as no improvement", step, line)
                    self.without_value |= {name}
        return record

    def begin_next(self) -> None:
        """Begin the stretch of steps after an evaluation."""
        self._begin()
