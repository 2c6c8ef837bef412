"""simulate.html: efficiency and step time by number of workers, in one file without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from daskpar.autotune.predict import Prediction
from daskpar.backend.atomic import atomic_write

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b")


def write_scaling(
    predictions: Mapping[str, Sequence[tuple[int, Prediction]]], limit: float, path: Path, title: str
) -> None:
    """Write a page of efficiency, seconds a step and tasks a second over the number of workers.

    `predictions`: (workers, prediction) by name of a run; each run is a line. `limit`: tasks a second that
    the scheduler can process.
    """
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import Div, Span
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    def plot(label: str, **options: str) -> figure:
        size = {"height": 300, "sizing_mode": "stretch_width", "tools": "save"}
        return figure(x_axis_label="workers", y_axis_label=label, x_axis_type="log", **size, **options)

    efficiency = plot("share of the workers' time that computes")
    step = plot("seconds a step", y_axis_type="log")
    load = plot("tasks a second", y_axis_type="log")
    for (name, points), colour in zip(predictions.items(), _COLOURS * 9, strict=False):
        workers = [n for n, _ in points]
        lines = (
            (efficiency, [p.efficiency for _, p in points]),
            (step, [p.seconds for _, p in points]),
            (load, [p.load for _, p in points]),
        )
        for figure_, values in lines:
            figure_.line(workers, values, color=colour, width=2, legend_label=name)
            figure_.scatter(workers, values, color=colour, size=6)
    efficiency.y_range.start, efficiency.y_range.end = 0, 1.05
    load.add_layout(Span(location=limit, dimension="width", line_dash="dashed", line_color="black"))
    for figure_ in (efficiency, step, load):
        figure_.add_layout(figure_.legend[0], "right")
    note = f"dashed: {limit:,.0f} tasks a second, the most that this scheduler processed when measured"
    same = "The rows of each worker stay the same, so the batch grows with the workers."
    heading = Div(text=f"<h2>{escape(title)}</h2><p>{same}</p>")
    parts = (heading, efficiency, step, load, Div(text=note))
    atomic_write(path, file_html(column(*parts, sizing_mode="stretch_width"), INLINE, title))
