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

    if console is None and audience(1) == "notebook":
        return _notebook()
    console = console or Terminal()
    return _on(console, console.is_terminal)


def progress_for(settings: Settings, about: str = "") -> list[Callback]:
    """Return the callbacks that show a training, by `verbose`; none where one is among its own already.

    `about`: what stands before the bar, e.g. which of several trainings is shown.
    """
    if any(isinstance(callback, Progress) for callback in settings.callbacks):
        return []
    where = audience(settings.verbose)
    if where == "nobody":
        return []
    shown = _notebook() if where == "notebook" else _on(watched(), where == "terminal")
    shown.about = about
    return [shown]


def watched() -> Console:
    """Return standard output, or standard error where only that is a terminal, as a console."""
    from daskpar.terminal import Terminal

    return Terminal(stderr=is_terminal(sys.stderr) and not is_terminal(sys.stdout))


def _on(console: Console, moving: bool) -> Progress:
    from daskpar.train.progress.bar import BarProgress, LineProgress

    return BarProgress(console) if moving else LineProgress(console)


def _notebook() -> Progress:
    from daskpar.train.progress.notebook import NotebookProgress

    return NotebookProgress()
