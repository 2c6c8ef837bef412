"""The picture of a learning-rate finder as SVG: losses over the learning rate, on a logarithmic axis.

It has no background of its own, and its texts have the colour of the page around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 44
_GRID = "rgba(128,128,128,.3)"  # seen on light and on dark backgrounds, as all colours of the picture


def draw_rates(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float | None) -> str:
    """Return an SVG of losses and smoothed losses (steps,) over `rates` (steps,); the suggestion is a line.

    Losses far above the smoothed ones are cut off, e.g. at the end of a sweep that diverges.
    """
    low, high = float(smoothed.min()), float(smoothed[0])
    low, high = min(low, float(losses.min())), max(high, low + 1e-12) + 0.4 * max(high - low, 1e-12)
    first, last = math.log10(rates[0]), math.log10(rates[-1])

    def place(rate: float, loss: float) -> tuple[float, float]:
        along = (math.log10(rate) - first) / max(last - first, 1e-12)
        up = (min(loss, high) - low) / (high - low)
        return (
            _LEFT + along * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        'style="max-width:100%;height:auto" fill="currentColor" font-family="sans-serif" font-size="12">',
    ]
    bottom, top = _HEIGHT - _BOTTOM, _TOP
    for rate in _decades(rates[0], rates[-1]):
        x, _ = place(rate, low)
        parts.append(_line(x, top, x, bottom, _GRID))
        parts.append(_text(x, bottom + 16, f"{rate:.0e}".replace("e-0", "e-").replace("e+00", "")))
    for loss in np.linspace(low, high, 5):
        _, height = place(rates[0], float(loss))
        parts.append(_line(_LEFT, height, _WIDTH - _RIGHT, height, _GRID))
        parts.append(_text(_LEFT - 8, height + 4, f"{loss:.3g}", "end"))
    for values, colour, width in ((losses, "#8fb3d9", 1), (smoothed, "#3b8bd8", 2)):
        points = " ".join(
            "{:.1f},{:.1f}".format(*place(float(rate), float(value)))
            for rate, value in zip(rates, values, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    if suggestion is not None:
        x, _ = place(suggestion, low)
        parts.append(_line(x, top, x, bottom, "#d62728"))
        parts.append(_text(x, top - 8, f"suggestion {suggestion:.2g}"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "learning rate"))
    parts.append(_text(_LEFT - 8, top - 8, "loss", "end"))
    return "\n".join([*parts, "</svg>", ""])


def _decades(first: float, last: float) -> Iterator[float]:
    """Yield powers of ten from one rate to another, at most about ten of them."""
    low, high = math.ceil(math.log10(first) - 1e-9), math.floor(math.log10(last) + 1e-9)
    yield from (10.0**power for power in range(low, high + 1, max(1, (high - low) // 10)))


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
