"""The best and the last scores of a run, as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from daskpar.report.curves.series import metrics, numbers
from daskpar.report.record import Record

_PARTS = ("train", "validation", "test")


def figure(value: object) -> str:
    """Return a number with about five digits, or a dash if it is missing or not finite."""
    if not isinstance(value, int | float) or not np.isfinite(value):
        return "–"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"


def figures_html(
    history: Sequence[Record], results: Mapping[str, Mapping[str, Any]], larger: Collection[str]
) -> str:
    """Return a table with a row for each score: the best, its step, the last, and those after training.

    The best one is that of the validation data, or of the training data if there are none. `results`: scores
    after training, by part. `larger`: names of the scores of which larger values are better.
    """
    part = "validation" if any("loss" in record.get("validation", {}) for record in history) else "train"
    names = ["loss", *metrics(history)]
    names += [n for scores in results.values() for n, v in scores.items() if isinstance(v, float)]
    known = [name for name in _PARTS if name in results]
    columns = [f"best, {part}", "at step", f"last, {part}", *(f"{name}, at the end" for name in known)]
    head = "".join(f"<th>{escape(column)}</th>" for column in ["", *columns])
    rows = []
    for name in dict.fromkeys(names):
        best, step, last = _course(history, part, name, name in larger)
        cells = [best, step, last, *(figure(results[one].get(name)) for one in known)]
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f"<tr><th>{escape(name)}</th>{row}</tr>")
    return f'<div class="figures"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _course(history: Sequence[Record], part: str, name: str, larger: bool) -> tuple[str, str, str]:
    """Return the best value, its step, and the last value."""
    records = [record for record in history if name in record.get(part, {})]
    values = numbers([record[part][name] for record in records])
    if not np.isfinite(values).any():
        return "–", "–", "–"
    best = int(np.nanargmax(values) if larger else np.nanargmin(values))
    return figure(values[best]), f"{records[best]['step']:,}", figure(float(values[-1]))
