"""Progress bar of a terminal, and the progress of a run with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daskpar.tasks.state_file import digest
from daskpar.train.evaluation_table import EvaluationTable
from daskpar.train.progress.audience import SCREEN
from daskpar.train.progress.base import NOTES
from daskpar.train.progress.console import ConsoleProgress
from daskpar.train.progress.ending import Ending
from daskpar.train.summary import scores_of
from daskpar.train.view import RunView

_WIDEST, _SHORTEST_BAR, _LONGEST_BAR, _INDENT = 120, 10, 60, 2
_BESIDE = ("count", "left")  # notes that stand beside the bar also where others stand below it


class Bar:
    """A label, a bar, and notes beside it, for any width of the terminal.

    `notes` are texts by name, the least important first. Where they do not fit beside the bar, most of them
    stand in a line below it, and those that do not fit there are left out.
    """

    def __init__(self, label: str, done: int, total: int, notes: Mapping[str, str]):
        self.label, self.done, self.total, self.notes = label, done, total, notes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widest = min(options.max_width, _WIDEST)
        room = widest - len(self.label) - 2
        names = self._fitting(list(self.notes), room - _SHORTEST_BAR)
        below: list[str] = []
        if len(names) < len(self.notes):
            names = self._fitting([name for name in self.notes if name in _BESIDE], room - _SHORTEST_BAR)
            below = self._fitting([name for name in self.notes if name not in names], widest - _INDENT)
        notes = self._line(names)
        width = min(_LONGEST_BAR, room - len(notes) - (2 if notes else 0))
        if width < 1:
            yield Text(self.label, no_wrap=True, overflow="crop")
            return
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row(
            Text(self.label, no_wrap=True),
            ProgressBar(total=max(1, self.total), completed=self.done, width=width),
            *([Text(notes, no_wrap=True)] if notes else []),
        )
        yield grid
        if below:
            yield Text(" " * _INDENT + self._line(below), no_wrap=True)

    def _fitting(self, names: list[str], room: int) -> list[str]:
        """Return the most important of some notes that fit into so many characters."""
        while names and sum(len(self.notes[name]) + 2 for name in names) > room:
            names = names[1:]
        return names

    def _line(self, names: Sequence[str]) -> str:
        return "  ".join(self.notes[name] for name in NOTES if name in names)


class LiveBar:
    """Bar that stays below other output, and disappears when it is closed.

    It does nothing while another one is on the screen.
    """

    def __init__(self, console: Console):
        self._console = console
        self._live: Live | None = None

    def open(self, bar: Bar) -> None:
        """Show a bar, if the screen is free."""
        if not self._console.is_dumb_terminal and SCREEN.claim(self):
            self._live = Live(bar, console=self._console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)

    def draw(self, bar: Bar) -> None:
        """Show another bar in its place."""
        if self._live is not None:
            self._live.update(bar, refresh=True)

    def close(self) -> None:
        """Remove the bar, and free the screen."""
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            finally:
                SCREEN.release(self)


class BarProgress(ConsoleProgress):
    """Progress on a terminal: a bar for the epoch, or for a run that is counted in steps, and a table.

    Beside the bar are the loss, the first metric, examples a second, the workers and the time left. The table
    has one row for each evaluation. At the end there is a table of the final and the best scores, if there
    was more than one evaluation.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic):
        super().__init__(console, now)
        self.live = LiveBar(console)
        self._ended: RunView | None = None

    def before_training(self, run: RunView) -> None:
        super().before_training(run)
        self.live.open(self._bar())

    def _bar(self) -> Bar:
        label, done, stretch = self.position
        return Bar(label, done, stretch, self.notes)

    def redraw(self) -> None:
        self.live.draw(self._bar())

    def write_row(self, table: EvaluationTable, cells: Sequence[str], first: bool) -> None:
        width = self.console.width
        self.print_lines([*(table.head(width) if first else []), table.row(cells, width)])
        self.redraw()

    def after_training(self, run: RunView) -> None:
        self._ended = run

    def close(self) -> None:
        self.live.close()
        run, self._ended = self._ended, None  # by now the state is the final one, e.g. the best
        if run is not None and self.summary and not self.about and len(run.history_) > 1:
            sha256 = digest(run.spec_, run.state_)
            self.console.print(Ending(run, scores_of(run), sha256, run.folder))
