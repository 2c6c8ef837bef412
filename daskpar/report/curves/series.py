"""The curves of a run, made from its history, with a limited number of points so a page stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from daskpar.report.record import Record

PARTS = ("train", "validation")
_POINTS = 12_000  # most points of a page, about 200 KB
_MOST = 1_500  # most points of a curve; a screen has fewer columns


@dataclass(frozen=True)
class Curve:
    """A curve: its label, the name of its colour, and points x, y (points,); a gap is NaN in y."""

    label: str
    colour: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Chart:
    """Curves over the same steps. `log`: the scale is logarithmic when the page opens."""

    name: str
    curves: tuple[Curve, ...]
    log: bool = False


def charts(history: Sequence[Record]) -> list[Chart]:
    """Return the charts of a history: the loss, each metric, the learning rate, examples a second."""
    listed = [
        Chart("loss", (*_each_step(history, "loss", "train, each step", "steps"), *_scores(history, "loss"))),
        *(Chart(name, tuple(_scores(history, name))) for name in metrics(history)),
        Chart("learning rate", tuple(_each_step(history, "lr", "learning rate", "rate"))),
        Chart("examples a second", tuple(_pace(history))),
    ]
    listed = [chart for chart in listed if chart.curves]
    most = min(_MOST, _POINTS // max(1, sum(len(chart.curves) for chart in listed)))
    return [
        Chart(chart.name, tuple(thinned(curve, most) for curve in chart.curves), chart.log)
        for chart in listed
    ]


def metrics(history: Sequence[Record]) -> list[str]:
    """Return the names of the scores that are numbers, without the loss."""
    names = [
        name
        for record in history[-1:]
        for part in PARTS
        for name, value in record.get(part, {}).items()
        if name != "loss" and (value is None or isinstance(value, int | float))
    ]
    return list(dict.fromkeys(names))


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Return numbers (n,) as float64, with NaN for those that are missing or not finite."""
    array = np.array([np.nan if value is None else value for value in values], float)
    return np.where(np.isfinite(array), array, np.nan)


def _each_step(history: Sequence[Record], name: str, label: str, colour: str) -> list[Curve]:
    steps: list[np.ndarray] = []
    values: list[Any] = []
    for record in history:
        some = record.get("each_step", {}).get(name, ())
        values.extend(some)
        steps.append(np.arange(record["step"] - len(some) + 1, record["step"] + 1))
    return [Curve(label, colour, np.concatenate(steps), numbers(values))] if values else []


def _scores(history: Sequence[Record], name: str) -> list[Curve]:
    curves = []
    for part in PARTS:
        records = [record for record in history if name in record.get(part, {})]
        if records:
            x = np.array([record["step"] for record in records])
            curves.append(Curve(part, part, x, numbers([record[part][name] for record in records])))
    return curves


def _pace(history: Sequence[Record]) -> list[Curve]:
    """Return examples a second between evaluations; records have those since the training began."""
    records = [record for record in history if record.get("examples_per_second")]
    if not records:
        return []
    seconds = numbers([record["seconds"] for record in records])
    average = numbers([record["examples_per_second"] for record in records])
    steps = np.array([record["step"] for record in records])
    rows_per_step = average[0] * seconds[0] / steps[0]
    pace = average.copy()
    apart = np.diff(seconds) > 0.02  # closer ones differ only by rounding
    pace[1:][apart] = (rows_per_step * np.diff(steps)[apart] / np.diff(seconds)[apart]).round(1)
    return [Curve("examples a second", "pace", steps, np.where(pace > 0, pace, np.nan))]


def thinned(curve: Curve, most: int) -> Curve:
    """Return a curve of about `most` points: the lowest and the highest of each stretch, so no peak is lost.

    The first and the last point are kept.
    """
    count = len(curve.x)
    if count <= most:
        return curve
    edges = np.linspace(1, count - 1, max(2, most // 2)).astype(int)
    low, high = np.where(np.isnan(curve.y), np.inf, curve.y), np.where(np.isnan(curve.y), -np.inf, curve.y)
    kept = {0, count - 1}
    for start, stop in pairwise(edges):
        kept.add(start + int(low[start:stop].argmin()))
        kept.add(start + int(high[start:stop].argmax()))
    chosen = np.array(sorted(kept))
    return Curve(curve.label, curve.colour, curve.x[chosen], curve.y[chosen])
