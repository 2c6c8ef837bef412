"""How a run is told while it goes: a rich progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from daskpar.cli.terminal import Terminal
from daskpar.train.callbacks import Callback
from daskpar.train.events import Entry
from daskpar.train.history import Record, scores
from daskpar.train.view import RunView


def progress(console: Console | None = None) -> Callback:
    """A callback that tells how a run goes, in the way that suits where the output goes."""
    console = console or Terminal()
    return BarProgress(console) if console.is_terminal else LineProgress(console)


class ConsoleProgress(Callback):
    """Progress on a console. A copy, e.g. a pickled one, tells where its own process writes to."""

    def __init__(self, console: Console):
        self.console = console

    def __getstate__(self) -> dict[str, Any]:
        return {"console": None}  # which holds a lock, and a terminal of this process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(Terminal())  # type: ignore[misc]


class LineProgress(ConsoleProgress):
    """A line an evaluation."""

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.console.print(describe(run, record), highlight=False, soft_wrap=True)


class BarProgress(ConsoleProgress):
    """A bar over all steps with epoch, loss, examples a second and the time left; evaluations above it."""

    def __init__(self, console: Console):
        super().__init__(console)
        self.bar: Progress | None = None

    def before_training(self, run: RunView) -> None:
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}  {task.fields[rate]} examples/s"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        total = run.steps_planned_
        self.task = self.bar.add_task("train", total=total, epoch="1", scores="", rate="-")
        self.bar.start()
        self.window = time.perf_counter()

    def after_steps(self, run: RunView, entries: list[Entry]) -> None:
        assert self.bar is not None
        now = time.perf_counter()
        order = run.spec_.order
        step, sums, _ = entries[-1]
        rows = order.drawn(step + 1) - order.drawn(entries[0][0])
        rate = rows / max(now - self.window, 1e-6)
        self.window = now
        self.bar.update(
            self.task,
            completed=step + 1,
            epoch=f"{step // order.steps + 1}/{-(-run.steps_planned_ // order.steps)}",
            scores="  ".join(told(scores(run.spec_, sums))[:2]),
            rate=f"{rate:,.0f}",
        )

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.console.print(describe(run, record), highlight=False)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def describe(run: RunView, record: Record) -> str:
    """A record in one line."""
    total = run.steps_planned_
    parts = [
        f"epoch {_short(record['epoch'])}/{_short(total / run.spec_.order.steps)}",
        f"step {record['step']}/{total}",
    ]
    for part in ("train", "validation"):
        parts += [f"{part}.{score}" for score in told(record[part])]
    return "  ".join([*parts, f"{record['examples_per_second']:,.0f} examples/s"])


def told(found: dict[str, Any]) -> list[str]:
    """Scores as a person reads them; tables such as a confusion matrix are for summary.json."""
    return [f"{name} {value:.4f}" for name, value in found.items() if isinstance(value, float)]


def _short(epochs: float) -> str:
    """Two digits, and none where they are zero: a run counted in steps may end within an epoch."""
    return f"{round(epochs, 2):.10g}"
