"""Writing curves.html, once or again and again while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from daskpar.report.curves.page import Curves
from daskpar.report.curves.series import Record

_SHARE = 0.01  # of a run's time, at most, goes into its curves


def write_curves(
    history: Sequence[Record],
    path: str | Path,
    title: str,
    results: Mapping[str, Mapping[str, Any]] | None = None,
    larger: Collection[str] = (),
    running: bool = False,
) -> None:
    """Write the curves of a history to a file; see `Curves` for the arguments."""
    Curves(history, title, results or {}, larger, running).write(path)


class LiveCurves:
    """Writes the curves of a run that goes on, seldom enough that it costs next to nothing.

    Call it after each evaluation; it writes when the last time is long enough ago. At the end of the run
    `write_curves` writes the last state.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "curves.html"
    >>> live = LiveCurves(path, "a run")
    >>> live([]), live([])
    (True, False)
    """

    def __init__(
        self,
        path: str | Path,
        title: str,
        larger: Collection[str] = (),
        now: Callable[[], float] = time.perf_counter,
    ):
        self.path, self.title, self.larger = Path(path), title, larger
        self._now, self._due = now, float("-inf")

    def __call__(self, history: Sequence[Record]) -> bool:
        """Write the curves if it is time to; returns whether it did."""
        begun = self._now()
        if begun < self._due:
            return False
        write_curves(history, self.path, self.title, larger=self.larger, running=True)
        ended = self._now()
        self._due = ended + max(1.0, (ended - begun) / _SHARE)
        return True
