"""Predictions of numbers: predicted against true values, and the rows with the largest residuals."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from daskpar.report.run.examples import gallery
from daskpar.report.run.html import Html, note, short
from daskpar.report.run.images import is_image
from daskpar.report.run.measured import Measured

_MOST_PLOTS, _MOST_POINTS = 4, 1500
_SIZE, _LEFT, _BOTTOM, _TOP = 300, 62, 38, 8  # pixels


def scatter(measured: Measured) -> Html:
    """Return a plot of predicted against true values for each of the first outputs, with their errors."""
    true, predicted = measured.numbers()
    count = true.shape[1]
    plots = []
    for i in range(min(count, _MOST_PLOTS)):
        plots.append(f"<figure class='plot'>{_plot(true[:, i], predicted[:, i], i, count)}</figure>")
    more = f" The first {_MOST_PLOTS} of {count:,} outputs." if count > _MOST_PLOTS else ""
    head = note(f"Of {measured.counted}.{more} On the line, predictions are exact.")
    return Html(f'{head}<div class="side">{"".join(plots)}</div>')


def largest(measured: Measured, most: int) -> Html:
    """Return the rows with the largest residuals; examples and outputs side by side where both are images."""
    chosen = measured.worst[:most].tolist()
    true, predicted = measured.numbers()
    head = note(f"The rows with the highest loss, of {measured.counted}.")
    shape = measured.raw.shape[1:]
    if is_image(shape) and math.prod(shape) == true.shape[1]:
        scale = _undo_scale(measured)
        captions = [(f"loss {short(measured.losses[i])}", "input and output") for i in chosen]
        others = predicted.reshape(len(predicted), *shape) * scale
        return Html(head + gallery(measured, chosen, captions, ("loss", ""), others))
    captions = [(_pair(true[i], predicted[i]), _residual(predicted[i] - true[i])) for i in chosen]
    return Html(head + gallery(measured, chosen, captions, ("true → predicted", "residual")))


def _undo_scale(measured: Measured) -> float:
    """Return the factor from the values of the network to those of the stored images."""
    inside = float(np.abs(measured.x).max(initial=0)) or 1.0
    return float(np.abs(measured.raw.astype(float)).max(initial=0)) / inside


def _pair(true: np.ndarray, predicted: np.ndarray) -> str:
    return f"{_numbers(true)} → {_numbers(predicted)}"


def _residual(values: np.ndarray) -> str:
    return _numbers(values, "+")


def _numbers(values: np.ndarray, sign: str = "") -> str:
    texts = [("+" if sign and value > 0 else "") + short(float(value)) for value in values[:4]]
    return ", ".join(texts) + (", …" if len(values) > 4 else "")


def _plot(true: np.ndarray, predicted: np.ndarray, output: int, count: int) -> str:
    known = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[known], predicted[known]
    if not len(true):
        return "no finite values"
    low, high = (float(f(np.concatenate([true, predicted]))) for f in (np.min, np.max))
    room = 0.04 * (high - low) or abs(low) or 1.0
    low, high = low - room, high + room
    side = _SIZE - _LEFT - _TOP

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * side

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * side

    shapes = [
        f'<line class="exact" x1="{x(low):.1f}" y1="{y(low):.1f}" x2="{x(high):.1f}" y2="{y(high):.1f}"/>'
    ]
    for tick in _ticks(low, high):
        shapes.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + side}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>'
            f'<text class="tick" x="{x(tick):.1f}" y="{_TOP + side + 15}" text-anchor="middle">'
            f"{short(tick)}</text>"
        )
    chosen = np.unique(np.linspace(0, len(true) - 1, min(len(true), _MOST_POINTS)).astype(int))
    shapes += [f'<circle cx="{x(true[i]):.1f}" cy="{y(predicted[i]):.1f}" r="2.2"/>' for i in chosen.tolist()]
    bottom, middle = _TOP + side + 31, _TOP + side / 2
    shapes.append(f'<text class="tick" x="{_LEFT + side / 2}" y="{bottom}" text-anchor="middle">true</text>')
    shapes.append(
        f'<text class="tick" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        "predicted</text>"
    )
    name = f"output {output}: " if count > 1 else ""
    height = _TOP + side + _BOTTOM
    return (
        f'<svg class="scatter" viewBox="0 0 {_SIZE} {height}" width="{_SIZE}" height="{height}" role="img" '
        f'aria-label="predicted against true values">{"".join(shapes)}</svg>'
        f"<figcaption>{name}{_errors(true, predicted)}</figcaption>"
    )


def _errors(true: np.ndarray, predicted: np.ndarray) -> str:
    off = predicted - true
    spread = float(((true - true.mean()) ** 2).sum())
    r2 = f", R² {1 - float((off**2).sum()) / spread:.4f}" if spread else ""
    mean, root = float(np.abs(off).mean()), math.sqrt(float((off**2).mean()))
    return f"mean absolute error {short(mean)}, RMSE {short(root)}{r2}"


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield about five values between two: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    for k in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield k * step
