"""The runs in a folder, read from their small files: summary.json, or the end of history.jsonl.

Nothing here imports NumPy or Dask, so that a list of a thousand runs is there at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Value = str | float | int | None
"""A value of a run: a text, a number, or None where it is not known."""

KEYS = (
    "name state when layout steps epochs seconds examples_per_second best value goodput parameters folder"
).split()
"""The keys that every run has. `value` is that of the score named by `best`; `when` is seconds since 1970."""
PARTS = ("validation", "test", "train")
_LONGEST_LINE = 1 << 20  # bytes of a line of history.jsonl that are read
_LARGEST_SUMMARY = 1 << 24  # bytes
_LARGEST = 1e18  # number of any kind
_BLOCK = 1 << 16
_SILENT = 60.0  # seconds without news after which a run may have been stopped
_EPOCHS = 3  # and this many of its epochs


@dataclass(frozen=True)
class FoundRun:
    """Run in a folder: its values by key, and its scores by full name, e.g. `validation.accuracy`.

    `best` has the best values of the scores of one part of the data, the main score first.
    """

    values: Mapping[str, Value]
    scores: Mapping[str, float]
    best: Mapping[str, float]
    layout: Mapping[str, Value]

    def get(self, key: str) -> Value:
        """Return a value by its key.

        A key is one of `KEYS`, `layout.FIELD`, a full name such as `test.loss` for the score of the final
        state, or the name of a metric for its best value.
        """
        if key in self.values:
            return self.values[key]
        if key.startswith("layout."):
            return self.layout.get(key.removeprefix("layout."))
        if key in self.scores:
            return self.scores[key]
        best = next((value for name, value in self.best.items() if name.partition(".")[2] == key), None)
        names = (f"{part}.{key}" for part in PARTS)
        return best if best is not None else next((self.scores[n] for n in names if n in self.scores), None)

    @property
    def keys(self) -> set[str]:
        """All keys that have a meaning for this run."""
        names = {name.partition(".")[2] for name in (*self.scores, *self.best)}
        return {*self.values, *self.scores, *names, *(f"layout.{field}" for field in self.layout)}


def find_runs(folder: Path, now: float | None = None) -> list[FoundRun]:
    """Return the runs in a folder and in the folders within it, without their checkpoints.

    A folder with config.yaml and with history.jsonl or summary.json is a run. Files that cannot be read give
    a run with unknown values. `now` is the time in seconds since 1970. Default: None, the clock's.
    """
    now = time.time() if now is None else now
    runs = []
    for path in _run_folders(str(folder)):
        name = os.path.relpath(path, folder)
        runs.append(_read(path, os.path.basename(os.path.abspath(path)) if name == "." else name, now))
    return runs


def _run_folders(top: str) -> Iterator[str]:
    left = [top]
    while left:
        folder = left.pop()
        try:
            with os.scandir(folder) as entries:
                inside = list(entries)
        except OSError:
            continue
        names = {entry.name for entry in inside}
        if "config.yaml" in names and names & {"history.jsonl", "summary.json"}:
            yield folder
        left += [entry.path for entry in inside if _may_hold_runs(entry)]


def _may_hold_runs(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith((".", "checkpoints")):
        return False
    try:
        return entry.is_dir(follow_symlinks=False)  # a link could lead back to a folder above
    except OSError:
        return False


def _read(path: str, name: str, now: float) -> FoundRun:
    summary, history = os.path.join(path, "summary.json"), os.path.join(path, "history.jsonl")
    content = _summary(summary)
    record = content if content else _last_record(history)
    part = next((part for part in PARTS if _scores(record, part)), "")
    scores = {f"{p}.{name}": value for p in PARTS for name, value in _scores(record, p).items()}
    best = _best(record)
    if not best:  # of an older version, or a run without a summary: the scores of the last evaluation
        names = sorted(_scores(record, part), key=lambda name: name == "loss")
        best = {f"{part}.{name}": scores[f"{part}.{name}"] for name in names}
    main = next(iter(best), None)
    layout = {key: _value(value) for key, value in _mapping(record.get("layout")).items()}
    times = [time for time in map(_changed, (summary, history)) if time is not None]
    values: dict[str, Value] = {
        "name": name,
        "state": _state(record, max(times, default=None), now),
        "when": max(times, default=None),
        "layout": _text(record.get("layout_text")) or _short(layout) or None,
        "steps": _number(record.get("steps", record.get("step"))),
        "epochs": _number(record.get("epochs", record.get("epoch"))),
        **{key: _number(record.get(key)) for key in ("seconds", "examples_per_second")},
        "best": main,
        "value": None if main is None else best[main],
        **{key: _number(record.get(key)) for key in ("goodput", "parameters")},
        "folder": path,
    }
    return FoundRun(values, scores, best, layout)


def _summary(path: str) -> Mapping[str, object]:
    try:
        with open(path, "rb") as file:
            return _parsed(file.read(_LARGEST_SUMMARY))
    except OSError:
        return {}


def _last_record(path: str) -> Mapping[str, object]:
    """Return the last whole record of history.jsonl, without the values of each step; {} for none.

    Only the end of the file is read.
    """
    try:
        with open(path, "rb") as file:
            end, data = file.seek(0, os.SEEK_END), b""
            while end > 0 and len(data) < _LONGEST_LINE:
                start = max(0, end - _BLOCK)
                file.seek(start)
                data, end = file.read(end - start) + data, start
                lines = data.split(b"\n")
                whole = lines if end == 0 else lines[1:]  # the first one has begun before
                for line in reversed(whole):
                    head, values, _ = line.partition(b', "each_step"')
                    record = _parsed(head + b"}") if values else _parsed(line)
                    if record:
                        return record
    except OSError:
        pass
    return {}


def _parsed(text: bytes) -> Mapping[str, object]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _LARGEST else None  # neither NaN nor infinity


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _value(value: object) -> Value:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _scores(record: Mapping[str, object], part: str) -> dict[str, float]:
    """Return the scores of a part that are numbers."""
    values = {name: value for name, value in _mapping(record.get(part)).items() if isinstance(value, float)}
    return {name: value for name, value in values.items() if _number(value) is not None}


def _best(record: Mapping[str, object]) -> dict[str, float]:
    values = {name: _number(_mapping(b).get("value")) for name, b in _mapping(record.get("best")).items()}
    return {name: value for name, value in values.items() if value is not None}


def _short(layout: Mapping[str, Value]) -> str:
    """Return the numbers of a layout that differ from 1; summaries of older versions have no text."""
    parts = [f"{key}: {n}" for key, n in layout.items() if type(n) is int and n > 1 and key != "fan_in"]
    return ", ".join(parts) if parts or not layout else "1 lane"


def _changed(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def _state(record: Mapping[str, object], changed: float | None, now: float) -> str | None:
    """Return finished, stopped or running; a run without news for long was stopped."""
    if not record or changed is None:
        return None
    if record.get("finished") is True:
        return "finished"
    epoch = (_number(record.get("seconds")) or 0.0) / max(
        1.0, _number(record.get("epochs", record.get("epoch"))) or 1.0
    )
    silent = now - changed > max(_SILENT, _EPOCHS * epoch)
    return "stopped" if silent or record.get("state") == "stopped" else "running"
