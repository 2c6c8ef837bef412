"""A run as the files in its folder describe it, without its network and its data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daskpar import yaml_text
from daskpar.errors import InputError, printable
from daskpar.report.record import Record
from daskpar.report.runs import find_runs

_OF_A_RUN = ("config.yaml", "history.jsonl", "summary.json")
_PAGES = ("curves.html", "profile.html", "performance.html")
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Recorded:
    """The files of a run: its config, the records of its evaluations, its summary.

    An unfinished run has no summary, or one with `finished: false`. `state` is "finished", "running",
    "stopped", or "begun" where nothing was evaluated yet. `pages` are the names of other pages in the folder.
    """

    folder: Path
    name: str
    config: Mapping[str, object]
    history: Sequence[Record]
    summary: Mapping[str, object]
    profile: Mapping[str, object]
    state: str = "begun"
    pages: tuple[str, ...] = ()

    @property
    def results(self) -> dict[str, Mapping[str, object]]:
        """The scores in the summary, by part of the data."""
        scores = {part: mapping(self.summary.get(part)) for part in _PARTS}
        return {part: values for part, values in scores.items() if values}


def read_run(folder: Path) -> Recorded:
    """Return the run in a folder. Raises InputError where there is none, or a file of it is not readable."""
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file' if folder.exists() else 'no such folder'}; {_expected()}")
    if not any((folder / name).is_file() for name in _OF_A_RUN):
        within = sorted(path.parent for path in folder.glob("*/config.yaml"))
        raise InputError(
            f"{folder}: not the folder of a run; " + (f"try {within[0]}" if within else _expected())
        )
    config = _config(folder / "config.yaml")
    name = mapping(config.get("run")).get("name")
    return Recorded(
        folder,
        printable(name if isinstance(name, str) else folder.resolve().name),
        config,
        _history(folder / "history.jsonl"),
        _object(folder / "summary.json"),
        _object(folder / "profile.json"),
        _state(folder),
        tuple(page for page in _PAGES if (folder / page).is_file()),
    )


def _state(folder: Path) -> str:
    """Return the state of a run as `daskpar runs` has it."""
    states = (run.get("state") for run in find_runs(folder) if run.get("folder") == str(folder))
    return str(next(states, None) or "begun")


def _expected() -> str:
    return "expected the folder that `daskpar train` or a Trainer with `folder` has written"


def mapping(value: object) -> Mapping[str, object]:
    """Return a value that is a mapping, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def _config(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        return {}
    config = yaml_text.read(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected the config of the run")
    return config


def _history(path: Path) -> list[Record]:
    """Return the records of a history; the last line of a run that goes on may be incomplete."""
    records: list[Record] = []
    if path.is_file():
        for line in path.read_text("utf-8", "replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                raise InputError(f"{path}: line {len(records) + 1} is not the record of an evaluation")
            records.append(record)
    return records


def _object(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None
    return mapping(content)
