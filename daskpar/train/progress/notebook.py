"""Progress in a notebook: one block with a bar and the table of evaluations, updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Protocol

from daskpar.report.table import html_table
from daskpar.train.evaluation_table import EvaluationTable
from daskpar.train.labels import clock
from daskpar.train.progress.audience import SCREEN
from daskpar.train.progress.base import NOTES, Progress
from daskpar.train.view import RunView

_ROWS = 15  # shown at most: a longer block would get a scroll bar
_BAR = (
    '<div style="flex:1;min-width:6em;height:8px;border-radius:4px;background:rgba(128,128,128,.3)">'
    '<div style="width:{share:.1f}%;height:100%;border-radius:4px;background:#3b82c4"></div></div>'
)
_LINE = "display:flex;flex-wrap:wrap;align-items:center;gap:2px 1em;font-variant-numeric:tabular-nums"


class Block:
    """Output that a notebook shows as HTML, and other front ends as text."""

    def __init__(self, html: str, text: str):
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def bar_html(label: str, done: int, total: int, notes: Sequence[str]) -> str:
    """Return the HTML of a bar between a label and notes."""
    bar = _BAR.format(share=100 * done / max(1, total))
    beside = "".join(f"<span>{escape(note)}</span>" for note in notes)
    return f'<div style="{_LINE}"><span>{escape(label)}</span>{bar}{beside}</div>'


class _Handle(Protocol):
    def update(self, block: Block) -> object: ...


class LiveBlock:
    """Block in the output of a cell whose content can be replaced."""

    def __init__(self) -> None:
        self._handle: _Handle | None = None

    def show(self, html: str, text: str) -> None:
        """Show HTML in the block, or `text` where HTML cannot be shown."""
        from IPython.display import display

        html = f'<div style="max-width:56em;margin:2px 0">{html}</div>'
        if self._handle is None:
            self._handle = display(Block(html, text), display_id=True)
        else:
            self._handle.update(Block(html, text))


class NotebookProgress(Progress):
    """Progress in a notebook: a bar for the epoch, above a table of the last evaluations."""

    seconds_between_updates = 0.5

    def __init__(self) -> None:
        self.block: LiveBlock | None = None
        self.rows: list[list[str]] = []
        self.end = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def before_training(self, run: RunView) -> None:
        super().before_training(run)
        self.rows, self.end = [], ""
        self.block = LiveBlock() if SCREEN.claim(self) else None
        self.redraw()

    def redraw(self) -> None:
        if self.block is not None:
            self.block.show(f"{self._status()}{self._table()}", self._text())

    def _status(self) -> str:
        if self.end:
            return f'<div style="{_LINE}">{escape(self.end)}</div>'
        label, done, stretch = self.position
        notes = self.notes
        return bar_html(label, done, stretch, [notes[name] for name in NOTES if name in notes])

    def _table(self) -> str:
        if self.table is None:
            return ""
        left_out = len(self.rows) - _ROWS
        earlier = f"<div><small>{left_out} earlier evaluations are in history_</small></div>"
        return (earlier if left_out > 0 else "") + html_table(self.table.columns, self.rows[-_ROWS:])

    def _text(self) -> str:
        status = self.end or self.position[0]
        if self.table is None:
            return status
        width = 80
        rows = [self.table.row(cells, width) for cells in self.rows[-_ROWS:]]
        return "\n".join([*self.table.head(width), *rows, status])

    def write_row(self, table: EvaluationTable, cells: Sequence[str], first: bool) -> None:
        self.rows.append(list(cells))
        self.redraw()

    def after_training(self, run: RunView) -> None:
        assert self.scale is not None
        planned = "" if run.steps_run_ == self.scale.steps else f" of {self.scale.steps}"
        self.end = f"{run.steps_run_}{planned} steps in {clock(run.seconds_)}"

    def close(self) -> None:
        if self.block is not None:
            self.end = self.end or f"stopped after step {self.meter.count} of {self.meter.total}"
            self.redraw()
            self.block = None
        SCREEN.release(self)
