"""Pages in the folder of a run that its training page links to, if the scheduler sees the folder."""

from __future__ import annotations

from pathlib import Path

from daskpar.dashboard.runs import Run

PAGES = ("report.html", "curves.html", "profile.html", "performance.html")


def pages_of(run: Run) -> list[str]:
    """Return the names of the pages in the folder of a run."""
    return [name for name in PAGES if page_file(run, name) is not None]


def page_file(run: Run, name: str) -> Path | None:
    """Return the file of a page; None if there is none, or if `name` is no page of a run."""
    folder = run.about.get("folder")
    if not isinstance(folder, str) or name not in PAGES:
        return None
    file = Path(folder) / name
    try:
        return file if file.is_file() else None
    except OSError:  # e.g. a folder that may not be read
        return None
