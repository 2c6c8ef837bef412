"""The streams that commands write to: any encoding, any width, a pipe that is closed early.

Everything printed goes through `out`, `err` or `echo`. A character that a stream's encoding lacks is
replaced, a control character is written as an escape, and markup in names is text like any other.
"""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderHook
from rich.segment import Segment

from daskpar.errors import one_line, printable

_ALIKE = {"×": "x", "−": "-", "…": "...", "—": "-"}


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode what an encoding lacks: a character that looks alike, or a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ALIKE.get(character, "?") for character in lacking), error.end


codecs.register_error("daskpar-replace", _replace)


class Terminal(Console):
    """A rich Console over standard output or error that no text, encoding or closed pipe can break."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        self.push_render_hook(_Printable())

    @property
    def encoding(self) -> str:
        """The encoding of the stream as it is now; without UTF-8, tables are drawn in ASCII."""
        return (getattr(self.file, "encoding", None) or "utf-8").lower()

    def on_broken_pipe(self) -> None:
        """Go on in silence when the reader has gone: what a command does matters more than what it says."""
        self.quiet = True
        _drop(self.file)


class _Printable(RenderHook):
    """Replaces control characters in all that is printed, but for those of rich itself."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [_Clean(renderable) for renderable in renderables]


class _Clean:
    def __init__(self, renderable: RenderableType):
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for text, style, control in console.render(self.renderable, options):
            yield Segment(text if control else printable(text), style, control)


out = Terminal(soft_wrap=True)
err = Terminal(stderr=True, soft_wrap=True)


def wide() -> Console:
    """Return a console that does not fold tables where nobody looks at a terminal."""
    return Terminal(width=None if out.is_terminal else 200)


def echo(text: str) -> None:
    """Write a text to standard output as it is, at once; a command whose reader has gone ends."""
    if sys.stdout is None:  # closed by whoever started the command
        return
    try:
        click.echo(text, sys.stdout, nl=False)  # a file of its choice would be in UTF-8 where this is ASCII
    except BrokenPipeError:
        _drop(sys.stdout)
        sys.exit(0)


class Commands(click.Group):
    """A group of commands that prints to whatever encoding standard output has."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        out.quiet = err.quiet = False  # a reader that has gone was one of an earlier command
        with suppress(AttributeError):  # None, or a stream of another kind
            sys.stdout.reconfigure(errors="daskpar-replace")  # type: ignore[union-attr]
        return super().main(*arguments, **options)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print warnings in a line each. NumPy's, about numbers, wait: an error that follows says it better."""
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


def _drop(stream: Any) -> None:
    """Let what is still written to a stream go nowhere, also what Python flushes when it ends."""
    with suppress(AttributeError, OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
