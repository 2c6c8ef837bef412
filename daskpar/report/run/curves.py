"""The curves of runs, one over the other, as data for the Board of `daskpar.report.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from daskpar.report.curves.series import Chart, Curve, charts, thinned
from daskpar.report.run.subject import Subject

_POINTS = 12_000  # of all curves, about 200 KB
_SECOND_WORDS = {"validation": " validation", "steps": " raw"}
"""Words of `charts.css` that change a run's line, by the colour that a page of one run has for the curve."""


def board(runs: Sequence[Subject]) -> dict[str, object]:
    """Return the content of the Board: charts by name, each with the curves of all runs."""
    each = [charts(run.recorded.history) for run in runs]
    names = dict.fromkeys(chart.name for listed in each for chart in listed)
    count = sum(len(chart.curves) for listed in each for chart in listed)
    most = max(20, _POINTS // max(1, count))
    return {
        "charts": [
            {"name": name, "log": False, "wide": name == next(iter(names)), "curves": curves}
            for name in names
            if (curves := list(_of_all(runs, each, name, most)))
        ],
        "axis": {"name": "step", "per_epoch": _steps_an_epoch(runs)},
    }


def _of_all(
    runs: Sequence[Subject], each: Sequence[Sequence[Chart]], name: str, most: int
) -> list[Mapping[str, object]]:
    several = len(runs) > 1
    curves: list[Mapping[str, object]] = []
    for i, (run, listed) in enumerate(zip(runs, each, strict=True)):
        for curve in (curve for chart in listed if chart.name == name for curve in chart.curves):
            kind, label = curve.colour, curve.label
            if several:
                kind = f"run{i % 10}{_SECOND_WORDS.get(curve.colour, '')}"
                label = run.name if label == name else f"{run.name}: {label}"
            curves.append({"label": label, "kind": kind, **_points(thinned(curve, most))})
    return curves


def _points(curve: Curve) -> dict[str, object]:
    y = [None if np.isnan(value) else float(f"{value:.5g}") for value in curve.y.tolist()]
    return {"x": curve.x.tolist(), "y": y}


def _steps_an_epoch(runs: Sequence[Subject]) -> float:
    """Return the steps of an epoch; 0 where the runs differ."""
    lasts = [run.recorded.history[-1] for run in runs if run.recorded.history]
    steps = {round(last["step"] / last["epoch"], 6) for last in lasts if last.get("epoch")}
    return steps.pop() if len(steps) == 1 else 0
