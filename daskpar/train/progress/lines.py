"""Progress in a log: few, complete lines."""

from __future__ import annotations

from daskpar.train.best import Best, best_of, main_score
from daskpar.train.history import Record, improves
from daskpar.train.labels import line, score, short
from daskpar.train.progress.base import NOTES
from daskpar.train.progress.console import ConsoleProgress
from daskpar.train.progress.meter import Throttle
from daskpar.train.view import RunView


class LineProgress(ConsoleProgress):
    """Progress in a log: complete lines for evaluations, at most one in a few seconds.

    The first and the last evaluation have a line always, and each line names the best so far. An epoch that
    takes long has lines within it.
    """

    seconds_between_updates = 30.0  # within an epoch
    seconds_between_lines = 5.0
    _best: Best | None = None
    _left_out: str | None = None

    def before_training(self, run: RunView) -> None:
        super().before_training(run)
        self._due.restart()
        self._line_is_due = Throttle(self.seconds_between_lines, self.now)
        self._best = self._left_out = None

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.evaluation = None
        text = "  ".join([line(run, record), *self._mark(run, record)])
        if self._line_is_due() or record["step"] >= run.steps_planned_:
            self._write(text)
        else:
            self._left_out = text

    def _mark(self, run: RunView, record: Record) -> list[str]:
        """Return a text that compares a record with the best one so far; none for the first."""
        name = main_score(record)
        if name is None:
            return []
        title = name.partition(".")[2]
        earlier = run.history_[:-1] if self._best is None else []
        before = self._best or best_of(run.spec_, earlier, name)
        best = best_of(run.spec_, [record], name)
        if best is None or (before and not improves(run.spec_, name, best.value, before.value)):
            self._best = before
            return [] if before is None else [f"best {title} {score(before.value)} {self._place(before)}"]
        self._best = best
        return [] if before is None else [f"best {title} so far"]

    def _place(self, best: Best) -> str:
        assert self.scale is not None
        return f"at step {best.step}" if self.scale.rows_in_steps else f"in epoch {short(best.epoch)}"

    def redraw(self) -> None:
        assert self.scale is not None
        label, done, stretch = self.position
        notes = self.notes
        if self.evaluation is not None:
            label = f"{label} {done}/{stretch}"
        elif not self.scale.in_steps:
            label = f"{label}  step {self.meter.count}/{self.scale.steps}"
        names = [name for name in NOTES if name in notes and name != "count"]
        self._write("  ".join([label, *(notes[name].strip() for name in names)]))

    def _write(self, text: str) -> None:
        about = f"{self.about}  " if self.about and not text.startswith(self.about) else ""
        self.print_lines([about + text])
        self._left_out = None
        self._due.restart()

    def close(self) -> None:
        if self._left_out is not None:  # the run ended early
            self._write(self._left_out)
