"""Recording of a run's history: sums over steps, and a record at each evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from daskpar.tasks import add_sums, layer_names, norms_of
from daskpar.tasks.types import Log, Spec, Sums
from daskpar.train.events import Entry
from daskpar.train.history import Record, mean_loss, scores, without_value
from daskpar.train.history_list import History

logger = logging.getLogger("daskpar")

_LAYERS = "layers"  # rows [step, gradient norms, weight norms, update ratios] among the values of steps

BEGUN = {"step": 0, "seconds": 0.0, "epoch": 0.0}
"""The step at which a training begins, and the seconds and epochs of the trainings before it."""


class Recorder:
    """Sums up the steps since the last evaluation, and makes a record of them.

    `history` has the records so far, and `without_value` the names of scores that had no finite value and
    were reported.
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        self.begun = BEGUN
        self.history = History()
        self.without_value: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        self._sums: Sums = ()
        self._each: dict[str, list[Any]] = {"loss": [], "lr": []}

    @property
    def since(self) -> list[Any]:
        """The sums and the values of each step since the last evaluation."""
        return [self._sums, self._each]

    def take_up(self, history: list[Record], since: list[Any], begun: dict[str, float]) -> None:
        """Continue the history in a checkpoint; `begun` has step, epoch and seconds of the start."""
        self.history, (sums, self._each), self.begun = History(history), since, begun
        self._sums = tuple(sums)

    def add(self, log: Log, rate: Callable[[int], float]) -> list[Entry]:
        """Add steps, and return their entries. `rate` returns the learning rate of a step."""
        entries: list[Entry] = [(entry.step, entry.sums, rate(entry.step)) for entry in log]
        for _, sums, lr in entries:
            self._sums = add_sums(self._sums, sums)
            self._each["loss"].append(mean_loss(self.spec, sums))
            self._each["lr"].append(lr)
        stale = [list(entry.staleness) for entry in log if entry.staleness]
        if stale:
            self._each.setdefault("staleness", []).extend(stale)  # one number for each lane
        norms = [[e.step + 1, *norms_of(self.spec, e.norms)] for e in log if e.norms]
        if norms:
            self._each.setdefault(_LAYERS, []).extend(norms)
        return entries

    def record(self, step: int, seconds: float, validation: dict[str, Any]) -> Record:
        """Return a record of an evaluation after `step` steps, and warn of scores without a value."""
        norms = self._each.pop(_LAYERS, [])
        record: Record = {
            "step": step,
            "epoch": self.epoch(step),
            "lr": self._each["lr"][-1] if self._each["lr"] else None,
            "train": scores(self.spec, self._sums),
            "validation": validation,
            "seconds": round(seconds, 3),
            "examples_per_second": round(self._drawn(step) / (seconds - self.begun["seconds"]), 1),
            "each_step": self._each,
        }
        if norms:
            steps, gradient, weight, ratio = (list(column) for column in zip(*norms, strict=True))
            record["layers"] = {
                "names": layer_names(self.spec),
                "step": steps,
                "gradient_norm": gradient,
                "weight_norm": weight,
                "update_ratio": ratio,
            }
        self.history.append(record)
        for part in ("train", "validation"):
            for name, line in without_value(self.spec, part, record[part]).items():
                if name not in self.without_value:
                    logger.warning("step %d: %s; it counts as no improvement", step, line)
                    self.without_value |= {name}
        return record

    def epoch(self, step: int) -> float:
        """Return the number of epochs in the first `step` steps, those of earlier trainings included."""
        return float(self.begun["epoch"] + (step - self.begun["step"]) / self.spec.order.steps)

    def _drawn(self, step: int) -> int:
        """Return the number of rows drawn since the training began."""
        order = self.spec.order
        return order.drawn(step) - order.drawn(int(self.begun["step"]))

    def begin_next(self) -> None:
        """Reset the sums after an evaluation."""
        self._begin()
