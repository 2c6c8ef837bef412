"""Small curves within the output of a notebook, as inline SVG without scripts.

loss  train validation              A chart for each score, the learning rate and the speed. Texts have
0.7 +                               the colour of the notebook's text, and curves have colours that can
    |+++                            be seen on light and on dark backgrounds.
0.1 |   ++++++
    1       step 100
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from daskpar.report.curves.series import Chart, Curve, charts, thinned
from daskpar.report.record import Record

_MOST_CHARTS, _POINTS = 6, 150
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 300, 150, 52, 12, 24, 20  # pixels
_COLOURS = {
    "train": "#3b8bd8",
    "validation": "#e8833a",
    "steps": "#8fb3d9",
    "rate": "#3fa06e",
    "pace": "#9a6fd0",
}


def curves_html(history: Sequence[Record]) -> str:
    """Return the charts of a history as HTML of less than 60 KB; an empty text without any curve.

    Of many charts only the first are shown, and a note counts the others.
    """
    listed = charts(history)
    images = "".join(map(_chart_svg, listed[:_MOST_CHARTS]))
    if not images:
        return ""
    more = len(listed) - _MOST_CHARTS
    note = f"<small>{more} more charts are on the page of the Trainer's plot()</small>" if more > 0 else ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:4px 16px">{images}</div>{note}'


def _chart_svg(chart: Chart) -> str:
    curves = [thinned(curve, _POINTS) for curve in chart.curves]
    x = np.concatenate([curve.x for curve in curves]).astype(float)
    y = np.concatenate([curve.y for curve in curves])
    y = y[np.isfinite(y)]
    shapes = [*_heading(chart)]
    if len(y):
        low, high = _range(y)
        scale = _Scale(float(x.min()), float(x.max()), low, high)
        shapes += _axes(scale, float(y.min()), float(y.max()))
        shapes += [shape for curve in curves for shape in _curve(curve, scale)]
    else:
        shapes.append(_text(_LEFT, _HEIGHT // 2, "no finite values"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" fill="currentColor" font-family="sans-serif" font-size="11">'
        f"<title>{escape(chart.name)}</title>{''.join(shapes)}</svg>"
    )


class _Scale:
    """The places of steps and values in the image."""

    def __init__(self, first: float, last: float, low: float, high: float):
        self.first, self.last, self.low, self.high = first, last, low, high

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest value, with some room if they are equal."""
    low, high = float(values.min()), float(values.max())
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    room = abs(low) or 1.0
    return low - room / 2, high + room / 2


def _heading(chart: Chart) -> Iterator[str]:
    """Yield the name of the chart and, if it has several curves, their labels in their colours."""
    several = len(chart.curves) > 1
    labels = "".join(
        f'<tspan dx="8" fill="{_COLOURS[curve.colour]}">{escape(curve.label)}</tspan>'
        for curve in chart.curves
        if several
    )
    longest = 16 if several else 40
    name = chart.name if len(chart.name) <= longest else chart.name[: longest - 1] + "…"
    yield f'<text x="4" y="14"><tspan font-weight="bold">{escape(name)}</tspan>{labels}</text>'


def _axes(scale: _Scale, least: float, most: float) -> Iterator[str]:
    for value in dict.fromkeys((least, most)):
        height = scale.y(value)
        yield (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}" '
            'stroke="currentColor" stroke-opacity="0.2"/>'
        )
        yield _text(_LEFT - 4, round(height + 4), _number(value), "end")
    bottom = _HEIGHT - 4
    yield _text(_LEFT, bottom, f"{'step ' if scale.first == scale.last else ''}{scale.first:,.0f}")
    if scale.last > scale.first:
        yield _text(_WIDTH - _RIGHT, bottom, f"step {scale.last:,.0f}", "end")


def _number(value: float) -> str:
    """Return a number of three digits; a large one has all digits before its point."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _curve(curve: Curve, scale: _Scale) -> Iterator[str]:
    """Yield a line for each stretch of points without a gap; a single point is a dot."""
    colour = _COLOURS[curve.colour]
    dashes = ' stroke-dasharray="5 3"' if curve.colour == "validation" else ""
    width = 1 if curve.colour == "steps" else 1.6
    places = np.flatnonzero(np.isfinite(curve.y))
    for stretch in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        points = [(scale.x(float(curve.x[i])), scale.y(float(curve.y[i]))) for i in stretch]
        if len(points) == 1:
            ((x, y),) = points
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
        elif points:
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield (
                f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
            )


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill-opacity="0.75">{escape(text)}</text>'
