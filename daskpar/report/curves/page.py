"""The page of curves: scores on top, charts below, drawn by a small script within the page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from daskpar.backend.atomic import atomic_write
from daskpar.report.charts import script, style
from daskpar.report.curves.figures import figures_html
from daskpar.report.curves.series import Chart, charts
from daskpar.report.record import Record


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of a run, which a notebook shows and `write` saves as a page.

    Args:
        history: Records, as in a Trainer's `history_` or the lines of `history.jsonl`.
        title: Title of the page.
        results: Scores after training by part, e.g. `{"test": {"loss": 0.1}}`. Default: none.
        larger: Names of the scores of which larger values are better. Default: ().
        running: The run is not finished, so the page reloads itself every 10 seconds. Default: False.

    Example:
        >>> from daskpar.report.curves import Curves
        >>> record = {"step": 1, "epoch": 1.0, "seconds": 1.0, "examples_per_second": 8.0,
        ...           "train": {"loss": 0.5}, "validation": {}, "each_step": {"loss": [0.5], "lr": [0.1]}}
        >>> Curves([record], "a run")
        Curves of 'a run' after step 1; .write("curves.html") makes a page of them
    """

    history: Sequence[Record]
    title: str
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    larger: Collection[str] = ()
    running: bool = False

    def html(self) -> str:
        """Return the page, of less than 400 KB for a run of any length."""
        last = self.history[-1] if self.history else None
        shown = charts(self.history)
        data = {
            "charts": [{**_as_data(chart), "wide": chart is shown[0]} for chart in shown],
            "perEpoch": last["step"] / last["epoch"] if last and last.get("epoch") else 0,
            "running": self.running,
            "title": self.title,
        }
        text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        title = escape(self.title)
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>{style()}{_file("curves.css")}</style></head>
<body><h1>{title}</h1>
<p class="status">{escape(_status(last, self.running))}</p>
{figures_html(self.history, self.results, self.larger)}
<p class="hint">Drag over a chart to zoom in, double-click to zoom out; click a name to hide its curve.</p>
<main></main>
<noscript><p>The charts need JavaScript; the figures above do not.</p></noscript>
<script type="application/json" id="data">{text}</script>
<script>{script()}</script>
<script>{_file("curves.js")}</script>
</body></html>
"""

    def write(self, path: str | Path) -> Path:
        """Write the page atomically, and return its path."""
        path = Path(path)
        atomic_write(path, self.html())
        return path

    def _repr_html_(self) -> str:
        """Return the page in an iframe, so that the styles of notebook and page stay apart."""
        height = 300 + 270 * len(charts(self.history))
        return (
            f'<iframe srcdoc="{escape(self.html())}" width="100%" height="{min(height, 1000)}" '
            'style="border:0" title="curves"></iframe>'
        )

    def __repr__(self) -> str:
        step = self.history[-1]["step"] if self.history else 0
        return f'Curves of {self.title!r} after step {step}; .write("curves.html") makes a page of them'


def write_curves(
    history: Sequence[Record],
    path: str | Path,
    title: str,
    results: Mapping[str, Mapping[str, Any]] | None = None,
    larger: Collection[str] = (),
    running: bool = False,
) -> None:
    """Write the page of a history to a file; see `Curves` for the arguments."""
    Curves(history, title, results or {}, larger, running).write(path)


def _status(last: Record | None, running: bool) -> str:
    if last is None:
        return "no evaluation yet"
    parts = [f"{last['step']:,} step{'' if last['step'] == 1 else 's'}"]
    if last.get("epoch"):
        epochs = f"{round(last['epoch'], 2):.10g}"
        parts.append(f"{epochs} epoch{'' if epochs == '1' else 's'}")
    parts.append(f"{last['seconds']:,.1f} s")
    parts.append(f"{last['examples_per_second']:,.0f} examples/s")
    return ", ".join(parts) + ("; still running" if running else "")


def _as_data(chart: Chart) -> dict[str, Any]:
    curves = [
        {"label": curve.label, "kind": curve.colour, "x": curve.x.tolist(), "y": _plain(curve.y)}
        for curve in chart.curves
    ]
    return {"name": chart.name, "log": chart.log, "curves": curves}


def _plain(values: np.ndarray) -> list[float | None]:
    """Return numbers of five digits, more than a screen can show; None for missing ones."""
    return [None if np.isnan(value) else float(f"{value:.5g}") for value in values.tolist()]


@cache
def _file(name: str) -> str:
    return files("daskpar.report.curves").joinpath(name).read_text("utf-8")
