"""The other pages of a run: curves, timeline, and Dask's own performance report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from daskpar.report.run.folder import mapping
from daskpar.report.run.html import Html, details, note, table
from daskpar.report.run.subject import Subject

_TITLES = {
    "curves.html": "the curves of this run alone",
    "profile.html": "timeline of the recorded tasks",
    "performance.html": "Dask's own performance report of the same time",
}
_EMBEDDED = ("profile.html", "performance.html")


def other_pages(run: Subject, report: Path) -> Html:
    """Return where the time of a step went, if it was recorded, and links to the other pages of a run.

    The pages stay in the run's folder; `report` is the file of the report, from which the links lead there.
    """
    parts = [_profile(run.recorded.profile)]
    for page in run.recorded.pages:
        address = escape(_address(run.recorded.folder / page, report))
        link = Html(f'<a href="{address}">{page}</a>: {escape(_TITLES[page])}')
        if page in _EMBEDDED:
            frame = (
                f'<p><a href="{address}">open alone</a></p><iframe loading="lazy" src="{address}"></iframe>'
            )
            parts.append(details(f"{page}: {_TITLES[page]}", Html(frame)))
        else:
            parts.append(Html(f"<p>{link}</p>"))
    if "profile.html" not in run.recorded.pages:
        parts.append(note("No tasks were recorded; `daskpar train --profile` records them."))
    elif "performance.html" not in run.recorded.pages:
        parts.append(note("Dask has no performance report of this run; its threaded scheduler makes none."))
    return Html("".join(parts))


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
        texts = [_ms(times.get(name)) for name in ("compute", "transfer", "waiting")]
        on_path = sum(
            value
            for name in ("compute", "transfer", "waiting")
            if isinstance(value := critical.get(name), float)
        )
        tasks = times.get("tasks")
        rows.append([kind, f"{tasks:.3g}" if isinstance(tasks, int | float) else "–", *texts, _ms(on_path)])
    if not rows:
        return Html("")
    share, seconds = profile.get("scheduling_share"), profile.get("seconds_per_step")
    text = f"{_ms(seconds)} ms a step"
    if isinstance(share, int | float):
        text += f"; in {share:.1%} of the time of the cores no task computed"
    heads = ("task", "tasks a step", "compute, ms", "transfer, ms", "waiting, ms", "on the critical path, ms")
    return Html(note(text + ".") + table(heads, rows))


def _ms(seconds: object) -> str:
    return f"{1e3 * seconds:,.3f}" if isinstance(seconds, int | float) else "–"
