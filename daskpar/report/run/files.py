"""The time of a step, and the other pages of a run: curves, timeline, and Dask's own performance report."""

from __future__ import annotations

import gzip
import os
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from daskpar.report.run.folder import mapping
from daskpar.report.run.html import Html, note, table
from daskpar.report.run.subject import Subject

_TITLES = {
    "curves.html": "the curves of this run alone",
    "profile.html": "timeline of the recorded tasks",
    "performance.html": "Dask's own performance report of the same time",
}
_EMBEDDED = ("profile.html", "performance.html")
_LARGEST = 16 << 20  # bytes of a page within the report
_TIMES = ("compute", "transfer", "waiting")


def other_pages(run: Subject, report: Path) -> Html:
    """Return where the time of a step went, if it was recorded, and the other pages of a run.

    Timeline and performance report are within the page, compressed; `report` is the file of the page, from
    which links lead to the run's folder.
    """
    parts = [_profile(run.recorded.profile)]
    for page in run.recorded.pages:
        path = run.recorded.folder / page
        link = f'<a href="{escape(_address(path, report))}">{page}</a>'
        embedded = page in _EMBEDDED and path.stat().st_size <= _LARGEST
        parts.append(_frame(path, link) if embedded else Html(f"<p>{link}: {escape(_TITLES[page])}</p>"))
    if "profile.html" not in run.recorded.pages:
        parts.append(note("No tasks were recorded; `daskpar train --profile` records them."))
    elif "performance.html" not in run.recorded.pages:
        parts.append(note("There is no performance report by Dask; its threaded scheduler makes none."))
    return Html("".join(parts))


def _frame(path: Path, link: str) -> Html:
    """Return a page within the page, which opens when its title is clicked."""
    packed = b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()
    title = f"{path.name}: {escape(_TITLES[path.name])}"
    return Html(
        f'<details class="page"><summary>{title}</summary><p class="note">The same page as {link}.</p>'
        f'<iframe sandbox="allow-scripts" title="{title}"></iframe>'
        f'<script type="text/plain">{packed}</script></details>'
    )


def _address(page: Path, report: Path) -> str:
    """Return the address of a page relative to the report, or an absolute one on another drive."""
    try:
        return quote(Path(os.path.relpath(page.resolve(), report.resolve().parent)).as_posix())
    except ValueError:
        return page.resolve().as_uri()


def _profile(profile: Mapping[str, object]) -> Html:
    """Return the table of profile.json: time of each kind of task in a step."""
    rows = []
    path = mapping(profile.get("critical_path"))
    for kind, values in mapping(profile.get("a_step")).items():
        times, critical = mapping(values), mapping(path.get(kind))
        on_path = sum(time for name in _TIMES if isinstance(time := critical.get(name), int | float))
        tasks = times.get("tasks")
        number = f"{tasks:.3g}" if isinstance(tasks, int | float) else "–"
        rows.append([kind, number, *(_ms(times.get(name)) for name in _TIMES), _ms(on_path)])
    if not rows:
        return Html("")
    share, seconds = profile.get("scheduling_share"), profile.get("seconds_per_step")
    text = f"{_ms(seconds)} ms a step"
    if isinstance(share, int | float):
        text += f"; in {share:.1%} of the time of the cores no task computed"
    heads = ("task", "tasks a step", "compute, ms", "transfer, ms", "waiting, ms", "on the critical path, ms")
    return Html(note(text + ".") + table(heads, rows, "numbers"))


def _ms(seconds: object) -> str:
    return f"{1e3 * seconds:,.3f}" if isinstance(seconds, int | float) else "–"
