"""The table that `daskpar runs` prints."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from daskpar.errors import InputError, printable
from daskpar.report.run_filter import check_key
from daskpar.report.runs import KEYS, FoundRun, Value
from daskpar.report.table import Column, fitting, head_text, row_text

DEFAULT = "name when state layout steps seconds best value goodput parameters date".split()
"""The keys of the table. `date` is the date of `when`, which is relative in the table."""
_RANKS = {
    key: rank
    for rank, key in enumerate(
        "name value best state when layout steps goodput seconds parameters date".split()
    )
}  # columns with higher numbers are left out first
_TEXTS = ("name", "when", "date", "state", "layout", "best", "folder")
_LONGEST_TEXT = 40  # characters of a cell on a terminal
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def existing(folder: str) -> Path:
    """Return the path of a folder. Raises InputError if it does not exist."""
    path = Path(folder)
    if not path.is_dir():
        wrong = "not a folder" if path.exists() else "no such folder"
        raise InputError(f"{folder}: {wrong}; give the folder in which runs are (run.dir, by default runs)")
    return path


def chosen_columns(text: str | None, runs: Sequence[FoundRun]) -> list[str] | None:
    """Return the keys in a text, None for no text. Raises InputError for a key that no run has."""
    if text is None:
        return None
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        raise InputError(f"--columns={text!r}: expected keys with commas between them, e.g. name,accuracy")
    for key in keys:
        if key != "date":
            check_key("--columns", key, runs)
    return keys


def as_records(runs: Sequence[FoundRun], keys: Sequence[str] | None) -> str:
    """Return runs as JSON: a list of objects, with all values and scores, or those of the keys."""
    records: list[dict[str, object]] = []
    for run in runs:
        if keys is None:
            values = {key: run.get(key) for key in KEYS}
            records.append({**values, "scores": run.scores, "best_scores": run.best})
        else:
            records.append({key: _date(run.get("when")) if key == "date" else run.get(key) for key in keys})
    return json.dumps(records, indent=2) + "\n"


def run_table(
    runs: Sequence[FoundRun], keys: Sequence[str] | None, width: int | None, now: float | None = None
) -> str:
    """Return the table of some runs as text, with columns for the keys, or for all that fit the width."""
    now = time.time() if now is None else now
    names = list(keys or DEFAULT)
    cells = [[_shown(cell(run, key, now), width) for key in names] for run in runs]
    columns = [
        Column(
            printable(key),
            width=max((len(row[n]) for row in cells), default=0),
            rank=0 if keys else _RANKS[key],
            left=key in _TEXTS,
        )
        for n, key in enumerate(names)
    ]
    numbers = range(len(columns)) if width is None else fitting(columns, width)
    shown = [columns[n] for n in numbers]
    lines = [*head_text(shown), *(row_text(shown, [row[n] for n in numbers]) for row in cells)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def cell(run: FoundRun, key: str, now: float) -> str:
    """Return the text of a value; a question mark for one that is not known."""
    value = run.get("when" if key == "date" else key)
    if value is None:
        return "?"
    if isinstance(value, str):
        return value
    match key:
        case "when":
            return _ago(now - value)
        case "date":
            return _date(value) or "?"
        case "goodput":
            return f"{100 * value:.0f} %"
        case "steps" | "parameters":
            return f"{value:,.0f}"
        case "seconds" | "examples_per_second":
            return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"


def _shown(text: str, width: int | None) -> str:
    text = printable(text).replace("\n", "\\n")
    if width is None or len(text) <= _LONGEST_TEXT:
        return text
    half = (_LONGEST_TEXT - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def _date(when: Value) -> str | None:
    if not isinstance(when, int | float):
        return None
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
    except (ValueError, OverflowError, OSError):
        return None


def _ago(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"
