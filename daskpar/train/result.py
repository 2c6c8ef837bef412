"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.layout.layout import Layout
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import SavedState
from daskpar.train.description import Description
from daskpar.train.goodput import Goodput
from daskpar.train.history_list import History
from daskpar.train.trace import Trace


@dataclass(frozen=True)
class Result:
    """Trained state, with the run that led to it.

    The run computed `steps_run` of `steps_planned` steps, from step `resumed_at` on. `state` may be that of
    an earlier step, e.g. the best, after `epoch` epochs, and `saved` is its file. `without_value` has the
    names of scores that had no finite value and were reported. `unfinished` describes an interrupted run, as
    in a checkpoint. `trace` has the tasks that ran, where they were recorded.
    """

    spec: Spec
    layout: Layout
    state: State
    history: History
    names: tuple[str, ...]
    description: Description
    steps_planned: int
    steps_run: int
    resumed_at: int
    seconds: float
    blas: dict[str, Any]
    goodput: Goodput
    saved: SavedState | None = None
    epoch: float = 0.0
    unfinished: dict[str, Any] | None = None
    without_value: frozenset[str] = frozenset()
    trace: Trace | None = None

    def attributes(self) -> dict[str, object]:
        """Return the attributes of a Trainer with this result."""
        fitted = {
            "spec_": self.spec,
            "state_": self.state,
            "history_": self.history,
            "names_": self.names,
            "steps_": self.state.step,
            "steps_run_": self.steps_run,
            "steps_planned_": self.steps_planned,
            "resumed_at_": self.resumed_at,
            "seconds_": self.seconds,
            "blas_": self.blas,
            "goodput_": self.goodput.share,
            "badput_": dict(self.goodput.badput),
            "saved_": self.saved,
            "_description": self.description,
            "_epoch": self.epoch,
            "_unfinished": self.unfinished,
            "_layout": self.layout,
            "_without_value": self.without_value,
        }
        return fitted if self.trace is None else {**fitted, "trace_": self.trace}
