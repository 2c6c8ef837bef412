"""A progress bar on a terminal for work that is done item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def track(items: Sequence[T], console: Console, name: Callable[[T], str]) -> Iterator[T]:
    """Yield items while a bar shows the `name` of the current one and the time left.

    Nothing is shown where `console` is not a terminal.
    """
    if not console.is_terminal:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(items))
        for item in items:
            bar.update(task, description=name(item), refresh=True)
            yield item
            bar.advance(task)
