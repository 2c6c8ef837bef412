"""compare.html: what was predicted of layouts beside what was measured, in one file without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from daskpar.backend.whole import write_whole

Bar = tuple[str, float, float]
"""(layout, predicted, measured), in milliseconds a step."""


def write_bars(bars: Sequence[Bar], path: Path, title: str) -> None:
    """Two bars for each layout, the fastest on top, and the same as a table."""
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import Div, FactorRange
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    names = [name for name, _, _ in bars]
    places = [(name, kind) for name in reversed(names) for kind in ("measured", "predicted")]
    values = {
        (name, kind): v
        for name, *both in bars
        for kind, v in zip(("predicted", "measured"), both, strict=True)
    }
    plot = figure(
        y_range=FactorRange(*places),
        height=60 + 46 * len(bars),
        sizing_mode="stretch_width",
        x_axis_label="ms a step",
        tools="save",
        tooltips=[("ms", "@right{0.00}")],
    )
    colours = ["#1f77b4" if kind == "measured" else "#aec7e8" for _, kind in places]
    plot.hbar(y=places, right=[values[place] for place in places], height=0.8, color=colours)
    plot.x_range.start = 0
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{predicted:.2f}</td><td>{measured:.2f}</td>"
        f"<td>{predicted / measured:.2f}</td></tr>"
        for name, predicted, measured in bars
    )
    head = "<tr><th align=left>layout</th><th>predicted, ms</th><th>measured, ms</th><th>ratio</th></tr>"
    table = Div(text=f"<table cellpadding=6>{head}{rows}</table>")
    heading = Div(text=f"<h2>{escape(title)}</h2>")
    write_whole(path, file_html(column(heading, plot, table, sizing_mode="stretch_width"), INLINE, title))
