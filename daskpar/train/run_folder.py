"""The folder that a run leaves: config.yaml, history.jsonl, summary.json, checkpoints/, curves.html."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol

from daskpar.backend.atomic import atomic_write
from daskpar.errors import InputError
from daskpar.layout.layout import Layout
from daskpar.tasks.types import Spec
from daskpar.train.callbacks import Callback
from daskpar.train.checkpoint import Checkpoints, move_aside
from daskpar.train.history import Record, to_json
from daskpar.train.view import RunView


class Trained(Protocol):
    """A trained model, as a summary describes it."""

    @property
    def spec_(self) -> Spec: ...
    @property
    def layout_(self) -> Layout: ...
    @property
    def steps_run_(self) -> int: ...
    @property
    def seconds_(self) -> float: ...
    @property
    def blas_(self) -> dict[str, Any]: ...
    @property
    def parameters_sha256_(self) -> str: ...


class RunFolder(Callback):
    """Begins a run's folder when the training begins, and writes history.jsonl as it goes.

    What is refused before the first step has touched nothing. An earlier run of this name is moved to
    `<name>.1`, `.2`, ...: nothing is lost. `tell` is given a line when something was moved.
    """

    def __init__(self, folder: Path, config: str, resume: bool, tell: Callable[[str], None]):
        self.folder, self.config, self.resume, self.tell = folder, config, resume, tell
        self.begun = self.learnt = False
        self.moved: Path | None = None
        self.earlier: bytes | None = None

    def check(self) -> None:
        """Refuse to resume where there is nothing to resume from."""
        if self.resume and self.saved is None:
            raise InputError(f"{self.folder}: no checkpoint to resume from; train without --resume")

    @property
    def saved(self) -> Path | None:
        """The last checkpoint, if there is one."""
        return Checkpoints(self.folder / "checkpoints").latest()

    def before_training(self, run: RunView) -> None:
        config = self.folder / "config.yaml"
        try:
            if self.resume:
                self.earlier = config.read_bytes() if config.is_file() else None
            elif self.folder.exists():
                self.moved = move_aside(self.folder)
            self.begun = True  # from here on there is something to undo, whatever is raised
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(config, self.config)
            atomic_write(self.folder / "history.jsonl", "".join(map(_line, run.history_)))
        except OSError as error:
            raise self._cannot(error) from None
        if self.resume:
            self.tell(f"resumed at step {run.resumed_at_}")
        elif self.moved is not None:
            self.tell(f"{self.folder} was there already; moved to {self.moved}")

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.learnt = True
        try:
            with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise self._cannot(error) from None

    def finish(self, trainer: Trained, scores: dict[str, Any]) -> dict[str, Any]:
        """Write summary.json; returns what it holds."""
        summary = summarise(trainer, scores)
        try:
            atomic_write(self.folder / "summary.json", to_json(summary, indent=2) + "\n")
        except OSError as error:
            raise self._cannot(error) from None
        return summary

    def undo(self) -> None:
        """Leave everything as it was before a run that failed with nothing to show for it."""
        if not self.begun or self.learnt or (self.saved is not None and not self.resume):
            return
        if self.resume:
            if self.earlier is not None:
                atomic_write(self.folder / "config.yaml", self.earlier)
            return
        rmtree(self.folder, ignore_errors=True)
        if self.moved is not None:
            os.rename(self.moved, self.folder)
            self.tell(f"nothing was learnt; {self.moved} moved back to {self.folder}")

    def _cannot(self, error: OSError) -> InputError:
        where = error.filename or self.folder
        return InputError(f"{where}: the run's folder cannot be written ({error.strerror or error})")


def _line(record: Record) -> str:
    return to_json(record) + "\n"


def summarise(trainer: Trained, scores: dict[str, Any]) -> dict[str, Any]:
    """The content of summary.json; `scores` are those of train, validation and test."""
    examples = trainer.spec_.order.drawn(trainer.steps_run_)
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


def versions(*more: str) -> dict[str, str]:
    """Versions of what a result depends on, and of `more` packages, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("daskpar", "numpy", "numba", "dask", "distributed", "cupy-cuda13x", *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
