"""A bar while things are done, where somebody looks at a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from daskpar.cli.track import track


def shown(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    assert list(track([3, 4], console, lambda n: f"{n} workers")) == [3, 4]
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_has_a_bar() -> None:
    printed = shown(terminal=True)
    assert "3 workers" in printed and "4 workers" in printed and "2/2" in printed


def test_a_pipe_has_none() -> None:
    assert shown(terminal=False) == ""
