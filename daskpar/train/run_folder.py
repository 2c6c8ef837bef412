"""The folder of a run: config.yaml, history.jsonl, summary.json, checkpoints/, curves.html."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from daskpar.backend.atomic import atomic_write
from daskpar.errors import InputError
from daskpar.report.curves import write_curves
from daskpar.train.callbacks import Callback
from daskpar.train.checkpoint import Checkpoints, free_names
from daskpar.train.history import Record, to_json
from daskpar.train.pace import Pace
from daskpar.train.summary import RunState, Trained, scores_of, summarise
from daskpar.train.view import RunView

FILES = ("config.yaml", "history.jsonl", "summary.json", "curves.html", "checkpoints")


class RunFolder(Callback):
    """Callback that makes a run's folder before the first step, and keeps its files up to date.

    `config` is the text of config.yaml. `resume` is True where the folder is that of the continued run, and
    None where the run decides. The folder of another run is moved to `<name>.1`, `.2`, ...; if the folder is
    not `whole` the run's, only the files of that run are moved, within it. `tell` is called with a line for
    each move. With `replace` a run without a checkpoint is not moved but removed.

    A training that is refused before the first step changes nothing, and one that fails before the first
    evaluation restores the folder. At each evaluation history.jsonl grows. summary.json and curves.html are
    written at most in a twentieth of the time, and at the end.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        resume: bool | None,
        tell: Callable[[str], None],
        title: str = "",
        whole: bool = True,
        replace: bool = False,
    ):
        self.folder, self.config, self.resume, self.tell = folder, config, resume, tell
        self.title, self.whole, self.replace = title or folder.name, whole, replace
        self.begun = self.learnt = self.finished = False
        self.moved: dict[Path, Path] = {}
        self.earlier: bytes | None = None
        self._run: RunView | None = None
        self._pace = {"summary.json": Pace(), "curves.html": Pace()}

    def check(self) -> None:
        """Refuse to resume without a checkpoint."""
        if self.resume and self.saved is None:
            raise InputError(f"{self.folder}: no checkpoint to resume from; train without --resume")

    @property
    def saved(self) -> Path | None:
        """The folder of the last checkpoint, or None."""
        return Checkpoints(self.folder / "checkpoints").latest()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None, "tell": _silent}  # a copy belongs to no run

    def before_training(self, run: RunView) -> None:
        if self.resume is None:
            self.resume = run.same_run_
        config = self.folder / "config.yaml"
        try:
            if self.resume:
                self.earlier = config.read_bytes() if config.is_file() else None
            else:
                self._make_way()
            self.begun = True  # from here on an error must be undone
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(config, self.config)
            atomic_write(self.folder / "history.jsonl", "".join(map(_line, run.history_)))
        except OSError as error:
            raise self._cannot(error) from None
        self._run = run
        if self.resume:
            self.tell(f"resumed at step {run.resumed_at_}")
        for before, after in self.moved.items():
            self.tell(f"{before} was there already; moved to {after}")

    def _make_way(self) -> None:
        """Move the files of an earlier run aside; files of this run in .scratch, which workers read, stay."""
        left = set(os.listdir(self.folder)) - {".scratch"} if self.folder.is_dir() else set()
        if self.replace and left and left.issubset(FILES) and self.saved is None:
            self._remove_files()
        elif self.whole and (left or self.folder.is_file()):
            self.begun = True
            self._move([self.folder])
            scratch = self.moved[self.folder] / ".scratch"
            if scratch.is_dir():
                self.folder.mkdir()
                os.rename(scratch, self.folder / ".scratch")
        elif not self.whole and left.intersection(FILES):
            self.begun = True
            self._move([self.folder / name for name in FILES if name in left])

    def _move(self, paths: list[Path]) -> None:
        for path, after in zip(paths, free_names(paths), strict=True):
            os.rename(path, after)
            self.moved[path] = after

    def after_evaluation(self, run: RunView, record: Record) -> None:
        self.learnt = True
        try:
            with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise self._cannot(error) from None
        self._refresh(run, only_due=True, state="running")

    def after_training(self, run: RunView) -> None:
        self.finished = True

    def close(self) -> None:
        run, self._run = self._run, None
        if self._nothing_to_show:
            self.undo()
        elif run is not None and run.history_:
            self._refresh(run, only_due=False, state="finished" if self.finished else "stopped")

    def _refresh(self, run: RunView, only_due: bool, state: RunState) -> None:
        """Write summary.json and curves.html; a full disk does not end the training."""
        with suppress(OSError):
            if self._pace["summary.json"].is_due or not only_due:
                with self._pace["summary.json"]:
                    self._write(summarise(run, scores_of(run), state))
            if self._pace["curves.html"].is_due or not only_due:
                with self._pace["curves.html"]:
                    self._draw(run, {}, running=state != "finished")

    def _write(self, summary: dict[str, Any]) -> None:
        atomic_write(self.folder / "summary.json", to_json(summary, indent=2) + "\n")

    def _draw(self, trained: Trained, scores: dict[str, Any], running: bool = False) -> None:
        larger = [metric.name for metric in trained.spec_.metrics if metric.larger_is_better]
        write_curves(trained.history_, self.folder / "curves.html", self.title, scores, larger, running)

    def finish(self, trainer: Trained, scores: dict[str, Any]) -> dict[str, Any]:
        """Write summary.json with the final scores, and curves.html, and return the content of the summary.

        Without `scores` the summary has those of the last evaluation.
        """
        summary = summarise(trainer, scores or scores_of(trainer), "finished")
        try:
            self._write(summary)
            self._draw(trainer, scores)
        except OSError as error:
            raise self._cannot(error) from None
        return summary

    @property
    def _nothing_to_show(self) -> bool:
        return self.begun and not self.learnt and (self.saved is None or bool(self.resume))

    def undo(self) -> None:
        """Restore the folder after a run that failed before its first evaluation."""
        if not self._nothing_to_show:
            return
        self.begun = False
        if self.resume:
            if self.earlier is not None:
                atomic_write(self.folder / "config.yaml", self.earlier)
            return
        if self.whole:
            rmtree(self.folder, ignore_errors=True)
        elif self.folder.is_dir():
            self._remove_files()
        for before, after in self.moved.items():
            os.rename(after, before)
            self.tell(f"the run ended before its first evaluation; {after} moved back to {before}")

    def _remove_files(self) -> None:
        for name in FILES:
            rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).unlink(missing_ok=True)
        if not os.listdir(self.folder):
            self.folder.rmdir()

    def _cannot(self, error: OSError) -> InputError:
        where = error.filename or self.folder
        return InputError(f"{where}: the run's folder cannot be written ({error.strerror or error})")


def _line(record: Record) -> str:
    return to_json(record) + "\n"


def _silent(line: str) -> None:
    """Ignore a line."""
