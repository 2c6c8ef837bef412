"""The report of runs: one page without any other file, for one run or for several side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from daskpar.errors import one_line
from daskpar.report.charts import script, style
from daskpar.report.curves.figures import figures_html
from daskpar.report.model import ModelSummary
from daskpar.report.run.attention import attention
from daskpar.report.run.confusion import confusion
from daskpar.report.run.curves import board
from daskpar.report.run.environment import environment
from daskpar.report.run.examples import mistakes
from daskpar.report.run.files import other_pages
from daskpar.report.run.filters import filters
from daskpar.report.run.html import Html, note
from daskpar.report.run.residuals import largest, scatter
from daskpar.report.run.scores import chip, facts, headline, tiles
from daskpar.report.run.settings import differences, settings
from daskpar.report.run.step import graph, layout
from daskpar.report.run.subject import Subject

_EXAMPLES = 24
_LAYERS = 120  # rows of the table of a model
_TITLE = 90  # characters


class _Section(NamedTuple):
    """A section of the page: its title, and the function that returns its HTML for a run, or None."""

    title: str
    build: Callable[[Subject], Html | None]


def report_html(runs: Sequence[Subject], report: Path) -> str:
    """Return the page of the report of one run or several.

    Args:
        runs: The runs, with different names.
        report: File that the page is written to; links to the other pages of a run start there.
    """
    sections = list(filter(None, (_part(title, html) for title, html in _contents(runs, report))))
    several = len(runs) > 1
    title = f"{len(runs)} runs: {', '.join(run.name for run in runs)}" if several else runs[0].name
    title = escape(title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…")
    content = {"title": title, **board(runs)}
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    links = "".join(f'<a href="#{name}">{text}</a>' for name, text, _ in sections)
    status = "" if several else f'<p class="status">{escape(headline(runs[0]))}</p>'
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}: report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>{style()}{_file("report.css")}</style></head>
<body{' class="several"' if several else ""}><header><h1>{title}</h1>{status}<nav>{links}</nav></header>
{"".join(html for _, _, html in sections)}
<script type="application/json" id="data">{data}</script>
<script>{script()}</script>
<script>{_file("report.js")}</script>
</body></html>
"""


def _contents(runs: Sequence[Subject], report: Path) -> list[tuple[str, Html | None]]:
    """Return the titles of all sections with their HTML; None for one that no run has."""
    if len(runs) > 1:
        first = [("Settings that differ", differences(runs)), ("Results", facts(runs))]
    else:
        first = [("Results", Html(tiles(runs[0]) + _figures(runs[0])))]
    sections = [
        _Section("Settings", settings),
        _Section("Model", _model),
        _Section("Predictions", _predictions),
        _Section("Worst examples", _worst),
        _Section("First convolution", lambda run: filters(run.network) if run.network else None),
        _Section("Attention", lambda run: attention(run.measured) if run.measured else None),
        _Section("Layout", layout),
        _Section("Graph of a step", graph),
        _Section("Time of a step", lambda run: other_pages(run, report)),
    ]
    return [
        *first,
        ("Curves", _curves(runs)),
        *((section.title, _of_each(section, runs)) for section in sections),
        ("Environment", environment(runs)),
    ]


def _part(title: str, html: Html | None) -> tuple[str, str, str] | None:
    """Return the name, the title and the HTML of a section."""
    if html is None:
        return None
    name = title.lower().replace(" ", "-")
    return name, title, f'<section id="{name}"><h2>{title}</h2>{html}</section>\n'


def _of_each(section: _Section, runs: Sequence[Subject]) -> Html | None:
    """Return the HTML of a section for all runs: that of several side by side, under their names."""
    each = [_built(section, run) for run in runs]
    if all(html is None for html in each):
        return None
    if len(runs) == 1:
        return each[0]
    parts = [
        f"<article><h3>{chip(i, run.name)}</h3>{note('None.') if html is None else html}</article>"
        for i, (run, html) in enumerate(zip(runs, each, strict=True))
    ]
    return Html(f'<div class="runs">{"".join(parts)}</div>')


def _built(section: _Section, run: Subject) -> Html | None:
    """Return the HTML of a section; where a block of a user's own fails, the reason."""
    try:
        return section.build(run)
    except Exception as error:
        return note(f"Not shown: {type(error).__name__}: {one_line(str(error))}")


def _figures(run: Subject) -> str:
    recorded = run.recorded
    return figures_html(recorded.history, recorded.results, run.larger) if recorded.history else ""


def _curves(runs: Sequence[Subject]) -> Html:
    if not any(run.recorded.history for run in runs):
        return note("No evaluation yet.")
    hint = "Drag over a chart to zoom in, double-click to zoom out; click a name to hide its curve."
    lines = " Raw values of each step are faint, validation is dashed." if len(runs) > 1 else ""
    return Html(f'{note(hint + lines)}<div id="board"></div>')


def _model(run: Subject) -> Html:
    if run.network is None:
        return note(f"The model is not shown: {run.reason('network')}")
    spec = run.network.spec
    summary = ModelSummary(spec.model, spec.in_shape, spec.table)
    return Html(f'<div class="scroll">{summary.html(_LAYERS)}</div>')


def _predictions(run: Subject) -> Html | None:
    if run.measured is None:
        return note(f"Examples are not shown: {run.reason('measured')}")
    return scatter(run.measured) if run.measured.task == "numbers" else confusion(run.measured)


def _worst(run: Subject) -> Html | None:
    if run.measured is None:
        return None
    show = largest if run.measured.task == "numbers" else mistakes
    return show(run.measured, _EXAMPLES)


@cache
def _file(name: str) -> str:
    return files("daskpar.report.run").joinpath(name).read_text("utf-8")
