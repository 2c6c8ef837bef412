"""The part of progress that terminals, notebooks and logs share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import reduce

from daskpar.report.table import Column
from daskpar.tasks import add_sums
from daskpar.train.callbacks import Callback
from daskpar.train.evaluation_table import EvaluationTable, shortened
from daskpar.train.events import Entry
from daskpar.train.history import Record, scores
from daskpar.train.labels import Scale, clock, score
from daskpar.train.progress.meter import Meter, Throttle
from daskpar.train.view import RunView

NOTES = ("count", "loss", "metric", "rate", "workers", "left")
"""The names of the texts beside a bar, in their order."""


class Progress(Callback):
    """Callback that shows the progress of a run. Derived classes show it in `redraw` and `write_row`."""

    seconds_between_updates = 0.1
    now: Callable[[], float] = staticmethod(time.monotonic)
    about = ""  # text before the bar
    table: EvaluationTable | None = None
    scale: Scale | None = None

    def before_training(self, run: RunView) -> None:
        self.scale = Scale.of(run)
        self.meter = Meter(self.scale.steps, run.steps_run_, self.now)
        self.table = None
        self.evaluation: tuple[int, int] | None = None
        self.loss = self.metric = self.rate = ""
        self.workers: tuple[int, int] | None = None
        self._due = Throttle(self.seconds_between_updates, self.now)

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        self.meter.reach(entries[-1][0] + 1)
        if not self._due():
            return
        order, span = run.spec_.order, self.meter.span
        if span is not None:
            first, last, seconds = span
            rows = order.drawn(last) - order.drawn(first)
            self.rate = f"{rows / max(seconds, 1e-6):>7,.0f} examples/s"
        values = scores(run.spec_, reduce(add_sums, (sums for _, sums, _ in entries)))
        texts = [(name, score(value)) for name, value in values.items() if isinstance(value, float)]
        self.loss, self.metric = (
            next((f"{shortened(name)} {text}" for name, text in texts if (name == "loss") == is_loss), "")
            for is_loss in (True, False)
        )
        self.workers = run.workers_
        self.redraw()

    def evaluating(self, done: int, chunks: int) -> None:
        """Show the number of chunks of an evaluation that are done."""
        self.evaluation = done, chunks
        if chunks > 1 and self._due():
            self.redraw()

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.evaluation = None
        scale = self.scale or Scale.of(run)
        label = scale.of_record(record)
        first = self.table is None
        if self.table is None:
            self.table = EvaluationTable(record, Column(scale.unit, width=scale.widest))
        self.write_row(self.table, self.table.cells([label], record), first)

    @property
    def position(self) -> tuple[str, int, int]:
        """The label of the bar, the number of steps done, and of all steps of the bar."""
        assert self.scale is not None
        label, done, stretch = self.scale.position(self.meter.count)
        if self.evaluation is not None:
            label, (done, stretch) = "evaluate", self.evaluation
        return f"{self.about}, {label}" if self.about else label, done, stretch

    @property
    def notes(self) -> dict[str, str]:
        """The short texts beside the bar by name, the least important first."""
        assert self.scale is not None
        _, done, stretch = self.position
        left = self.meter.left
        count = f"{done:>{len(str(stretch))}}/{stretch}"  # of constant width, so that the bar does not move
        workers = "" if self.workers is None else "{}/{} workers".format(*self.workers)
        complete = self.workers is None or self.workers[0] == self.workers[1]
        texts = {
            **({"workers": workers} if complete else {}),
            "rate": "" if self.evaluation else self.rate,
            "metric": "" if self.evaluation else self.metric,
            "loss": "" if self.evaluation else self.loss,
            "count": "" if self.scale.in_steps and not self.evaluation else count,
            **({} if complete else {"workers": workers}),
            "left": "" if left is None else f"{clock(left)} left",
        }
        return {name: text for name, text in texts.items() if text}

    def redraw(self) -> None:
        """Show the bar with its current position and notes."""

    def write_row(self, table: EvaluationTable, cells: Sequence[str], first: bool) -> None:
        """Add a row to the table, with the headings before the `first` row."""
