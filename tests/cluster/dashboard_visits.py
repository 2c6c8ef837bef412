"""Visits to the pages of Dask's dashboard, on the scheduler: what its web server does for a browser."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

from bokeh.document import Document
from distributed.dashboard.scheduler import applications

_EXTRA = {"prefix": "", "pages": [], "plots": [], "jupyter": False}
_opened: dict[str, Document] = {}


def open_pages(names: Iterable[str] = (), dask_scheduler: Any = None) -> list[str]:
    """Open pages, all if none is named; returns the tracebacks of those that fail."""
    failures = []
    for name in names or applications:
        page = Document()
        try:
            applications[name](dask_scheduler, _EXTRA, page)
        except Exception:
            failures.append(f"{name}: {traceback.format_exc()}")
        else:
            _opened[name] = page
    return failures


def refresh_pages(dask_scheduler: Any = None) -> list[str]:
    """Bring the pages that are open up to date; returns the tracebacks of those that fail."""
    failures = []
    for name, page in _opened.items():
        for update in page.session_callbacks:
            try:
                update.callback()
            except Exception:
                failures.append(f"{name}: {traceback.format_exc()}")
    return failures


def are_open() -> bool:
    return bool(_opened)


def component(name: str) -> Any:
    """The figure of an open page that has one."""
    (found,) = _opened[name].components  # type: ignore[attr-defined]
    return found


def close_pages() -> None:
    _opened.clear()
