"""Progress bar for counted things, e.g. chunks of an evaluation; it appears after half a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from daskpar.train.labels import clock
from daskpar.train.progress.audience import SCREEN, audience
from daskpar.train.progress.choice import watched
from daskpar.train.progress.meter import Meter, Throttle

_PATIENCE = 0.5  # seconds before there is a bar

Count = Callable[[Hashable], object]
"""Function that counts a thing as done. A thing that was counted before, or is unknown, has no effect."""


class _View(Protocol):
    def draw(self, meter: Meter) -> None: ...
    def close(self, meter: Meter) -> None: ...


@contextmanager
def counting(label: str, things: Sequence[Hashable], verbose: bool | int | None) -> Iterator[Count | None]:
    """Show the number of things that are done, within the context.

    Yields the function to call with each thing that is done, or None where no progress is shown.
    """
    where = audience(verbose) if len(things) > 1 else "nobody"
    if where in ("nobody", "log"):
        yield None
        return
    left = set(things)
    meter = Meter(len(left))
    begun, due = meter.now(), Throttle(0.1 if where == "terminal" else 0.5)
    view: _View | None = None

    def count(thing: Hashable) -> None:
        nonlocal view
        if thing not in left:
            return
        left.remove(thing)
        meter.reach(meter.total - len(left))
        if meter.now() - begun < _PATIENCE or not due():
            return
        if view is None:
            view = _TerminalView(label) if where == "terminal" else _NotebookView(label)
        view.draw(meter)

    try:
        yield count
    finally:
        if view is not None:
            view.close(meter)


def _notes(meter: Meter) -> dict[str, str]:
    left = meter.left
    return {
        "count": f"{meter.count}/{meter.total}",
        **({} if left is None else {"left": f"{clock(left)} left"}),
    }


class _TerminalView:
    def __init__(self, label: str):
        from daskpar.train.progress.bar import Bar, LiveBar

        self._label, self._bar = label, Bar
        self._live = LiveBar(watched())
        self._live.open(Bar(label, 0, 1, {}))

    def draw(self, meter: Meter) -> None:
        self._live.draw(self._bar(self._label, meter.count, meter.total, _notes(meter)))

    def close(self, meter: Meter) -> None:
        self._live.close()


class _NotebookView:
    def __init__(self, label: str):
        from daskpar.train.progress.notebook import LiveBlock

        self._label = label
        self._block = LiveBlock() if SCREEN.claim(self) else None

    def draw(self, meter: Meter) -> None:
        from daskpar.train.progress.notebook import bar_html

        if self._block is not None:
            html = bar_html(self._label, meter.count, meter.total, list(_notes(meter).values()))
            self._block.show(html, f"{self._label} {meter.count}/{meter.total}")

    def close(self, meter: Meter) -> None:
        if self._block is not None:
            text = f"{self._label}: {meter.count}/{meter.total}"
            self._block.show(f"<small>{text}</small>", text)
        SCREEN.release(self)
