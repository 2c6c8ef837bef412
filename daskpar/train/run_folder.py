"""The folder that a run leaves: config.yaml, history.jsonl, summary.json, checkpoints/, curves.html."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from daskpar.errors import InputError
from daskpar.train.callbacks import Callback
from daskpar.train.checkpoint import Checkpoints, write_text
from daskpar.train.history import Record

if TYPE_CHECKING:
    from daskpar.train.trainer import Trainer


def begin_run(folder: Path, config: str, resume: bool) -> Path | None:
    """Make the folder and write the config into it; returns where an earlier run was moved to, if any.

    An earlier run of this name is moved to `<name>.1`, `.2`, ...: nothing is lost. Raises InputError where
    the folder cannot be written, or there is nothing to resume.
    """
    moved: Path | None = None
    try:
        if resume:
            if Checkpoints(folder / "checkpoints").latest() is None:
                raise InputError(f"{folder}: no checkpoint to resume from; train without --resume")
        elif folder.exists():
            numbered = (folder.with_name(f"{folder.name}.{n}") for n in count(1))
            moved = next(path for path in numbered if not path.exists())
            os.rename(folder, moved)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "config.yaml", config)
    except OSError as error:
        if moved is not None and moved.exists() and not (folder / "config.yaml").exists():
            rmtree(folder, ignore_errors=True)
            os.rename(moved, folder)
        raise InputError(
            f"{folder}: the run's folder cannot be written ({error.strerror or error})"
        ) from None
    return moved


class HistoryFile(Callback):
    """Writes history.jsonl as the run goes: one line an evaluation."""

    def __init__(self, folder: Path):
        self.path = folder / "history.jsonl"

    def before_training(self, trainer: Trainer) -> None:
        write_text(self.path, "".join(map(_line, trainer.history_)))

    def after_evaluation(self, trainer: Trainer, record: Record) -> None:
        try:
            with open(self.path, "a") as file:
                file.write(_line(record))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror or error})") from None


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def summarise(trainer: Trainer, scores: dict[str, Any]) -> dict[str, Any]:
    """What summary.json holds; `scores` are those of train, validation and test."""
    examples = trainer.steps_run_ * trainer.spec_.order.batch
    return {
        **scores,
        "seconds": round(trainer.seconds_, 3),
        "examples_per_second": round(examples / max(trainer.seconds_, 1e-9), 1),
        "steps": trainer.steps_run_,
        "parameters": trainer.spec_.table.count,
        "layout": vars(trainer.layout_),
        "versions": versions(),
        "blas": trainer.blas_,
        "parameters_sha256": trainer.parameters_sha256_,
    }


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("daskpar", "numpy", "dask", "distributed", "cupy-cuda13x"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
