"""Callback of the estimators: it records the loss of each epoch and checks the model's number of outputs."""

from __future__ import annotations

from daskpar.errors import InputError
from daskpar.train.callbacks import Callback
from daskpar.train.events import Entry
from daskpar.train.view import RunView


class EpochLosses(Callback):
    """Callback that records the mean training loss of each epoch of one run.

    `classes` is the number of outputs that a classifier's model must have. None allows any number.
    """

    def __init__(self, classes: int | None):
        self.classes = classes
        self._steps, self._first = 1, -1
        self._sums: list[tuple[float, float]] = []

    @property
    def losses(self) -> list[float]:
        """Loss of each epoch; the last epoch may be unfinished."""
        return [total / weight if weight else float("nan") for total, weight in self._sums]

    def before_training(self, run: RunView) -> None:
        self._steps = run.spec_.order.steps
        outputs = run.spec_.out_shape[-1] if run.spec_.out_shape else 1
        if self.classes is not None and outputs != self.classes:
            raise InputError(
                f"the model has {outputs} outputs for {self.classes} classes; its last layer must have one "
                "output per class (or one output for two classes with loss='binary_cross_entropy')"
            )

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        for step, sums, _ in entries:
            self._first = step if self._first < 0 else self._first
            epoch = (step - self._first) // self._steps
            while len(self._sums) <= epoch:
                self._sums.append((0.0, 0.0))
            total, weight = self._sums[epoch]
            self._sums[epoch] = total + sums[0], weight + sums[1]
