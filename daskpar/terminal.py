"""A rich Console for any output stream: any encoding, any width, a pipe that is closed early.

A character that the encoding of the stream lacks is replaced. A control character is written as an escape.
Markup in names is ordinary text.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderHook
from rich.segment import Segment

from daskpar.errors import printable

_ALIKE = {"×": "x", "−": "-", "…": "...", "—": "-"}


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode characters that an encoding lacks: as one that looks alike, or as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ALIKE.get(character, "?") for character in lacking), error.end


codecs.register_error("daskpar-replace", _replace)


def writable(text: str) -> str:
    """Return a text in which characters that standard output lacks are replaced, as in a Terminal."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "daskpar-replace").decode(encoding)


class Terminal(Console):
    """A rich Console for standard output or error that no text, encoding or closed pipe can break."""

    def __init__(self, **options: Any):
        plain = {"markup": False, "emoji": False, "highlight": False, "force_jupyter": False}
        super().__init__(**{**plain, **options})
        self.push_render_hook(_Printable())

    @property
    def encoding(self) -> str:
        """The current encoding of the stream. Without UTF-8, tables are drawn in ASCII."""
        return (getattr(self.file, "encoding", None) or "utf-8").lower()

    def on_broken_pipe(self) -> None:
        """Stop printing when the reader has closed the pipe. The command itself goes on."""
        self.quiet = True
        drop(self.file)


class _Printable(RenderHook):
    """Render hook that escapes control characters in all output, except those of rich itself."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [_Clean(renderable) for renderable in renderables]


class _Clean:
    """A renderable with its control characters escaped."""

    def __init__(self, renderable: RenderableType):
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for text, style, control in console.render(self.renderable, options):
            yield Segment(text if control else printable(text), style, control)


def drop(stream: IO[str]) -> None:
    """Discard all further output to a stream, including the output that Python flushes when it exits."""
    with suppress(AttributeError, OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
