"""Events of a run, in their order.

Began ─ StepsDone … ─ Evaluating … ─ Evaluated ─ Saved ─ StepsDone … ─ Ended ─ Saved
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daskpar.tasks.types import Log, State, Sums
from daskpar.train.history import Record

Entry = tuple[int, Sums, float]
"""One step: its number from 0 on, its sums of loss, weights and metrics, and its learning rate."""


@dataclass(frozen=True)
class Began:
    """Event before the first step; `step` is its number."""

    step: int


@dataclass(frozen=True)
class StepsDone:
    """Event after a window of steps; `log` has all that was measured in them."""

    entries: list[Entry]
    log: Log = ()


@dataclass(frozen=True)
class Evaluating:
    """Event within an evaluation: `done` of `chunks` are evaluated."""

    done: int
    chunks: int


@dataclass(frozen=True)
class Evaluated:
    """Event after an evaluation; `record` is the last of the history."""

    record: Record


@dataclass(frozen=True)
class Saved:
    """Event after a checkpoint was written to `folder`."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Ended:
    """Event after the last step, with the state after it."""

    state: State


Event = Began | StepsDone | Evaluating | Evaluated | Saved | Ended
