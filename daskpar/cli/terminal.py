"""The streams that commands write to: in any encoding, at any width, to a pipe that may close early.

Everything printed goes through `out`, `err` or `echo`. A character that a stream's encoding lacks is
replaced, a control character is written as an escape, and markup in names is text like any other.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from rich.console import Console

from daskpar.errors import one_line
from daskpar.terminal import Terminal, drop

out = Terminal(soft_wrap=True)
err = Terminal(stderr=True, soft_wrap=True)


def wide() -> Console:
    """Return a console that does not fold tables where standard output is not a terminal."""
    return Terminal(width=None if out.is_terminal else 200)


def echo(text: str) -> None:
    """Write a text to standard output unchanged, at once; exit where the reader has closed the pipe."""
    if sys.stdout is None:  # closed by the parent process
        return
    try:
        click.echo(text, sys.stdout, nl=False)  # click would choose UTF-8 where the stream is ASCII
    except BrokenPipeError:
        drop(sys.stdout)
        sys.exit(0)


class Commands(click.Group):
    """A group of commands that prints to whatever encoding standard output has."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        out.quiet = err.quiet = False  # set by an earlier command whose reader had gone
        with suppress(AttributeError):  # None, or a stream of another kind
            sys.stdout.reconfigure(errors="daskpar-replace")  # type: ignore[union-attr]
        return super().main(*arguments, **options)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print each warning in one line.

    NumPy's warnings about numbers are printed at the end: an error that follows explains them better.
    """
    waiting: dict[str, None] = {}
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        line = one_line(str(message))
        if issubclass(category, RuntimeWarning):
            waiting[line] = None
        else:
            err.print(f"daskpar: warning: {line}")

    warnings.showwarning = show
    try:
        yield
        for line in waiting:
            err.print(f"daskpar: warning: {line}")
    finally:
        warnings.showwarning = before
