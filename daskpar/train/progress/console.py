"""The part of progress that terminals and logs share: a console to print to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from daskpar.terminal import Terminal
from daskpar.train.progress.base import Progress


class ConsoleProgress(Progress):
    """Progress on a console. A copy, e.g. a pickled one, writes to the standard output of its process."""

    summary = True  # whether a table of the scores is shown at the end, where there is a terminal

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic):
        self.console, self.now = console, now

    def __reduce__(self) -> tuple[Any, ...]:
        return _anew, (type(self),)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines without markup or wrapping."""
        for text in lines:
            self.console.print(Text(text), soft_wrap=True)


def _anew(kind: type[ConsoleProgress]) -> ConsoleProgress:
    return kind(Terminal())
