"""`daskpar train`: a cluster, a run, its folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from daskpar.build import Parts, make_trainer, open_data
from daskpar.cli.progress import progress_for, shown
from daskpar.cluster import open_client
from daskpar.cluster.executor import THREADED
from daskpar.config import Config
from daskpar.dashboard.curves import write_curves
from daskpar.errors import InputError
from daskpar.train import Callback, Trainer
from daskpar.train.checkpoint import Checkpoints, write_text
from daskpar.train.history import Record
from daskpar.train.run_folder import HistoryFile, begin_run, summarise


def run(config: Config, resume: bool, console: Console) -> None:
    """Train as the config says and write the run's folder."""
    if resume and Checkpoints(config.folder / "checkpoints").latest() is None:
        raise InputError(f"{config.folder}: no checkpoint to resume from; train without --resume")
    parts = open_data(config)
    cluster = config.cluster
    with open_client(
        cluster.kind,
        cluster.workers,
        cluster.address,
        cluster.dashboard_port,
        cluster.image,
        cluster.namespace,
    ) as client:
        if client != THREADED:
            console.print(f"dashboard {client.dashboard_link}", highlight=False)
        folder, progress = RunFolder(config, resume, console), progress_for(console)
        trainer = make_trainer(config, client, [folder, HistoryFile(config.folder), progress])
        try:
            trainer.fit(parts.train, validation=parts.validation, resume=resume)
        except BaseException:
            getattr(progress, "stop", lambda: None)()
            folder.undo()
            raise
        finish(trainer, config, parts, console)


class RunFolder(Callback):
    """Begins the run's folder when the training begins: what is refused before that has touched nothing."""

    def __init__(self, config: Config, resume: bool, console: Console):
        self.config, self.resume, self.console = config, resume, console
        self.folder = config.folder
        self.begun = self.learnt = False
        self.moved: Path | None = None
        self.earlier: str | None = None

    def before_training(self, trainer: Trainer) -> None:
        if (self.folder / "config.yaml").is_file():
            self.earlier = (self.folder / "config.yaml").read_text()
        self.moved = begin_run(self.folder, self.config.as_yaml(), self.resume)
        self.begun = True
        if self.moved is not None:
            self._tell(f"{self.folder} was there already; moved to {self.moved}")

    def after_evaluation(self, trainer: Trainer, record: Record) -> None:
        self.learnt = True

    def undo(self) -> None:
        """Leave everything as it was before a run that failed with nothing to show for it."""
        saved = Checkpoints(self.folder / "checkpoints").latest()
        if not self.begun or self.learnt or (saved is not None and not self.resume):
            return
        if self.resume:
            if self.earlier is not None:
                write_text(self.folder / "config.yaml", self.earlier)
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.moved is not None:
            os.rename(self.moved, self.folder)
            self._tell(f"nothing was learnt; {self.moved} moved back to {self.folder}")

    def _tell(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)


def finish(trainer: Trainer, config: Config, parts: Parts, console: Console) -> None:
    """Evaluate on every part, write summary.json and curves.html, and say how it went."""
    scores, refused = {}, None
    for name, part in parts._asdict().items():
        if part is None:
            continue
        try:
            scores[name] = trainer.evaluate(part)
        except InputError as error:  # told at the end: what was learnt is not lost for it
            refused = error
    summary = summarise(trainer, scores)
    folder = config.folder
    try:
        write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        write_curves(trainer.history_, folder / "curves.html", config.run.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    for name, values in scores.items():
        console.print(f"{name:10}  " + "  ".join(_pairs(values)), highlight=False)
    rate = summary["examples_per_second"]
    console.print(
        f"{summary['steps']} steps in {summary['seconds']:.1f} s, {rate:,.0f} examples/s; {folder}/",
        highlight=False,
    )
    if refused is not None:
        raise refused


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name} {shown(value)}" for name, value in values.items()]
