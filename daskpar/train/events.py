"""The moments of a run, in order.

Began ─ StepsDone … ─ Evaluating … ─ Evaluated ─ Saved ─ StepsDone … ─ Ended ─ Saved
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daskpar.tasks.types import State, Sums
from daskpar.train.history import Record

Entry = tuple[int, Sums, float]
"""One step: its number, its sums of loss, weights and metrics, its learning rate."""


@dataclass(frozen=True)
class Began:
    """The first step comes next; `step` is its number."""

    step: int


@dataclass(frozen=True)
class StepsDone:
    """A window of steps was computed."""

    entries: list[Entry]


@dataclass(frozen=True)
class Evaluating:
    """`done` of `chunks` were evaluated."""

    done: int
    chunks: int


@dataclass(frozen=True)
class Evaluated:
    """Loss and metrics were measured; `record` is the last of the history."""

    record: Record


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written to `folder`."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Ended:
    """The last step was computed; `state` is the state after it."""

    state: State


Event = Began | StepsDone | Evaluating | Evaluated | Saved | Ended
