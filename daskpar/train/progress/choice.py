"""Choice of the form of progress: for a terminal, a notebook or a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from daskpar.train.callbacks import Callback
from daskpar.train.progress.audience import audience, is_terminal
from daskpar.train.progress.base import Progress
from daskpar.train.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from daskpar.train.progress.console import ConsoleProgress


def progress(console: Console | None = None) -> Callback:
    """Return a callback that shows the progress of a training.

    It shows a bar and a table of the evaluations on a terminal and in a notebook. Elsewhere it prints lines,
    at most one in five seconds, but always those of the first and the last evaluation. A Trainer shows
    progress by itself on a terminal and in a notebook (`verbose`); with this callback it does so everywhere.

    Args:
        console: A `rich.console.Console` to write to. Default: None, which writes to the cell of a notebook,
            or to standard output.

    Returns:
        The callback, for `Trainer(callbacks=[...])`.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> from daskpar import Dense, Trainer, progress
        >>> log = io.StringIO()
        >>> trainer = Trainer([Dense(2)], epochs=2, callbacks=[progress(Console(file=log))])
        >>> trainer = trainer.fit([[0.0], [1.0]], [0, 1])
        >>> [line.split("  ")[0] for line in log.getvalue().splitlines()]
        ['epoch 1/2', 'epoch 2/2']
    """
    from daskpar.terminal import Terminal

    if console is None and audience(1) == "notebook":
        return _notebook()
    console = console or Terminal()
    return progress_on(console)


def progress_on(console: Console, summary: bool = True) -> Progress:
    """Return progress on a console; with a table of the scores at the end of a `summary`."""
    shown = _on(console, console.is_terminal)
    shown.summary = summary
    return shown


def progress_for(settings: Settings, about: str = "") -> list[Callback]:
    """Return the callbacks that show a training, by `verbose`; () where the settings have one already.

    `about`: text before the bar, e.g. "member 1/5".
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
    """Return the console of standard output, or of standard error where only that is a terminal."""
    from daskpar.terminal import Terminal

    return Terminal(stderr=is_terminal(sys.stderr) and not is_terminal(sys.stdout))


def _on(console: Console, moving: bool) -> ConsoleProgress:
    from daskpar.train.progress.bar import BarProgress
    from daskpar.train.progress.lines import LineProgress

    return BarProgress(console) if moving else LineProgress(console)


def _notebook() -> Progress:
    from daskpar.train.progress.notebook import NotebookProgress

    return NotebookProgress()
