"""curves.html: loss, metrics and learning rate of a run, in one file that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daskpar.backend.atomic import atomic_write
from daskpar.train.history import Record

if TYPE_CHECKING:
    from bokeh.plotting import figure as Figure

_PARTS = {"train": "#1f77b4", "validation": "#d62728"}


def write_curves(history: Sequence[Record], path: Path, title: str) -> None:
    """Draw a run's history."""
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import Div
    from bokeh.resources import INLINE

    figures = [_loss(history)]
    figures += [_scores(history, name) for name in _metrics(history)]
    figures.append(_rate(history))
    for figure in figures[1:]:
        figure.x_range = figures[0].x_range
    heading = Div(text=f"<h2>{title}</h2>")
    atomic_write(path, file_html(column(heading, *figures, sizing_mode="stretch_width"), INLINE, title))


def _figure(label: str, **options: str) -> Figure:
    from bokeh.plotting import figure

    tools = "pan,xwheel_zoom,box_zoom,reset,save"
    axes = {"x_axis_label": "step", "y_axis_label": label}
    return figure(height=280, sizing_mode="stretch_width", tools=tools, **axes, **options)


def _loss(history: Sequence[Record]) -> Figure:
    losses = [loss for record in history for loss in record["each_step"]["loss"]]
    start = history[-1]["step"] - len(losses) if history else 0
    plot = _figure("loss")
    steps = list(range(start + 1, start + len(losses) + 1))
    plot.line(steps, losses, color=_PARTS["train"], alpha=0.3, legend_label="train, each step")
    return _scores(history, "loss", plot)


def _scores(history: Sequence[Record], name: str, plot: Figure | None = None) -> Figure:
    plot = plot or _figure(name)
    for part, colour in _PARTS.items():
        points = [(r["step"], r[part][name]) for r in history if name in r.get(part, {})]
        if points:
            steps, values = zip(*points, strict=True)
            plot.line(steps, values, color=colour, width=2, legend_label=part)
            plot.scatter(steps, values, color=colour, size=6)
    if plot.legend:
        plot.add_layout(plot.legend[0], "right")  # beside the curves, not on them
        plot.legend.click_policy = "hide"
    return plot


def _metrics(history: Sequence[Record]) -> list[str]:
    if not history:
        return []
    values = history[-1]["train"] | history[-1].get("validation", {})  # which may have more
    return [k for k, v in values.items() if k != "loss" and isinstance(v, int | float)]


def _rate(history: Sequence[Record]) -> Figure:
    rates = [lr for record in history for lr in record["each_step"]["lr"]]
    start = history[-1]["step"] - len(rates) if history else 0
    plot = _figure("learning rate")
    plot.line(list(range(start + 1, start + len(rates) + 1)), rates, color="#2ca02c", width=2)
    return plot
