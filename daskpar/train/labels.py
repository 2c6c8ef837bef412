"""Texts for the numbers of a run: scores, times, and its position in epochs or in steps."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

from daskpar.tasks.types import Spec
from daskpar.train.history import Record
from daskpar.train.interval import Interval

WIDTH = 9
"""The largest number of characters of a score."""


class _Counted(Protocol):
    """Protocol of a run whose steps are counted; it may have settings such as `steps`, too."""

    steps_planned_: int
    spec_: Spec

    @property
    def begun_(self) -> dict[str, float]: ...


class Scale(NamedTuple):
    """Scale of a run: the unit, epochs or steps, in which its position is shown.

    `first` is the first step of the training, after those of earlier ones, and `steps` the last. An epoch has
    `per_epoch` steps. One begins at step `epochs_from`, after `epochs_before` epochs. `in_steps` is True
    where the length was set in steps, and `rows_in_steps` where evaluations are named by their steps.
    """

    first: int
    steps: int
    per_epoch: int
    epochs_from: int = 0
    epochs_before: float = 0.0
    in_steps: bool = False
    rows_in_steps: bool = False

    @classmethod
    def of(cls, run: _Counted) -> Scale:
        """Return the scale of a run."""
        order, begun = run.spec_.order, run.begun_
        before = begun["epoch"] + (order.first_step - begun["step"]) / order.steps
        in_steps = getattr(run, "steps", None) is not None
        every = Interval.parse(getattr(run, "evaluate_every", "1 epoch"), "evaluate_every")
        by_steps = in_steps or every.unit == "step"
        first, last = int(begun["step"]), run.steps_planned_
        return cls(first, last, order.steps, order.first_step, before, in_steps, by_steps)

    @property
    def unit(self) -> str:
        """The heading of the column that `of_record` fills."""
        return "step" if self.rows_in_steps else "epoch"

    @property
    def epochs(self) -> float:
        """The epochs after the last step."""
        return self.epochs_before + (self.steps - self.epochs_from) / self.per_epoch

    def of_record(self, record: Record) -> str:
        """Return the position of an evaluation: `3/10` epochs or `120/500` steps."""
        if self.rows_in_steps:
            return f"{record['step']}/{self.steps}"
        return f"{short(record['epoch'])}/{short(self.epochs)}"

    @property
    def widest(self) -> int:
        """The number of characters of the widest position."""
        return 2 * len(str(self.steps) if self.rows_in_steps else short(self.epochs)) + 1

    def position(self, step: int) -> tuple[str, int, int]:
        """Return the label of the progress bar, the number of steps done, and of all steps of the bar.

        The bar is for one epoch, or for the whole run where that is counted in steps.
        """
        if self.in_steps:
            return f"step {step}/{self.steps}", step - self.first, self.steps - self.first
        last = step - (step > self.first)  # the bar of an epoch is full after its last step
        epoch = max(0, last - self.epochs_from) // self.per_epoch
        start = self.epochs_from + epoch * self.per_epoch
        stretch = min(self.per_epoch, self.steps - start)
        number = math.floor(round(self.epochs_before, 6)) + epoch + 1
        return f"epoch {number}/{math.ceil(round(self.epochs, 6))}", step - start, stretch


def short(epochs: float) -> str:
    """Return a number of epochs with at most two decimals: a run may end within an epoch."""
    return f"{round(epochs, 2):.10g}"


def score(value: float) -> str:
    """Return a score in at most `WIDTH` characters.

    >>> score(0.45678), score(12345.6), score(-2.5e-7), score(float("nan"))
    ('0.4568', '1.235e+04', '-2.50e-07', 'nan')
    """
    text = f"{value:.4f}"
    if value and (abs(value) < 1e-3 or len(text) > WIDTH):
        text = f"{value:.3e}"
        text = text if len(text) <= WIDTH else f"{value:.2e}"
    return text


def clock(seconds: float) -> str:
    """Return a time in seconds as `0:05`, `12:00` or `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def told(scores: dict[str, Any]) -> list[str]:
    """Return scores with their names; tables such as a confusion matrix are left to summary.json."""
    return [f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float)]


def line(run: _Counted, record: Record) -> str:
    """Return a record in one line."""
    scale = Scale.of(run)
    parts = [f"{scale.unit} {scale.of_record(record)}"]
    epoch = short(record["epoch"])
    if not scale.rows_in_steps:
        parts.append(f"step {record['step']}/{scale.steps}")
    elif epoch != "0":
        parts.append(f"epoch {epoch}")
    for part in ("train", "validation"):
        parts += [f"{part}.{text}" for text in told(record[part])]
    return "  ".join([*parts, f"{record['examples_per_second']:,.0f} examples/s"])
