"""compare.html: predicted and measured times of layouts, in one file that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from daskpar.backend.atomic import atomic_write

Bar = tuple[str, float, float]
"""(layout, predicted, measured), in milliseconds a step."""


def write_bars(bars: Sequence[Bar], path: Path, title: str) -> None:
    """Write a page with two bars for each layout in the order of `bars`, and the same numbers as a table."""
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import Div
    from bokeh.plotting import figure
    from bokeh.resources import INLINE
    from bokeh.transform import dodge

    names = [name for name, _, _ in bars]
    data = {"name": names, "predicted": [p for _, p, _ in bars], "measured": [m for _, _, m in bars]}
    plot = figure(
        y_range=names[::-1],
        height=80 + 40 * len(bars),
        sizing_mode="stretch_width",
        x_axis_label="ms a step",
        tools="save",
    )
    for kind, shift, colour in (("predicted", 0.2, "#aec7e8"), ("measured", -0.2, "#1f77b4")):
        y = dodge("name", shift, range=plot.y_range)
        plot.hbar(y=y, right=kind, height=0.36, source=data, color=colour, legend_label=kind)
    plot.x_range.start = 0
    plot.legend.location = "center_right"
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{predicted:.2f}</td><td>{measured:.2f}</td>"
        f"<td>{predicted / measured:.2f}</td></tr>"
        for name, predicted, measured in bars
    )
    head = "<tr><th align=left>layout</th><th>predicted, ms</th><th>measured, ms</th><th>ratio</th></tr>"
    table = Div(text=f"<table cellpadding=6>{head}{rows}</table>")
    heading = Div(text=f"<h2>{escape(title)}</h2>")
    atomic_write(path, file_html(column(heading, plot, table, sizing_mode="stretch_width"), INLINE, title))
