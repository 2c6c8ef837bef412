"""The choice among ways to show progress."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from daskpar.train.callbacks import Callback
from daskpar.train.progress.audience import audience, is_terminal
from daskpar.train.progress.base import Progress
from daskpar.train.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console


def progress(console: Console | None = None) -> Callback:
    """Return a callback that shows how a run goes, in the way that suits where the output goes.

    `console`: a rich console to write to; None is a notebook's cell, or else standard output. A Trainer shows
    progress by itself where a person looks (`verbose`); with this among its callbacks it does so anywhere.

    >>> from daskpar import Trainer, progress
    >>> trainer = Trainer([{"dense": 2}], callbacks=[progress()])
    """
    from daskpar.terminal import Terminal
    from daskpar.train.progress.bar import BarProgress, LineProgress

    if console is None:
        where = audience(1)
        if where == "notebook":
            return _notebook()
        console = Terminal()
    return BarProgress(console) if console.is_terminal else LineProgress(console)


def progress_for(settings: Settings) -> list[Callback]:
    """Return the callbacks that show a training, by `verbose`; none where one is among its own already."""
    if any(isinstance(callback, Progress) for callback in settings.callbacks):
        return []
    where = audience(settings.verbose)
    if where == "nobody":
        return []
    if where == "notebook":
        return [_notebook()]
    from daskpar.train.progress.bar import BarProgress, LineProgress

    return [BarProgress(watched()) if where == "terminal" else LineProgress(watched())]


def watched() -> Console:
    """Return standard output, or standard error where only that is a terminal, as a console."""
    from daskpar.terminal import Terminal

    return Terminal(stderr=is_terminal(sys.stderr) and not is_terminal(sys.stdout))


def _notebook() -> Progress:
    from daskpar.train.progress.notebook import NotebookProgress

    return NotebookProgress()
