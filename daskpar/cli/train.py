"""`daskpar train`: a cluster, a run, its folder."""

from __future__ import annotations

import json
import logging
from typing import Any

from rich.console import Console

from daskpar.build import Parts, make_trainer, open_data
from daskpar.cli.progress import progress_for, shown
from daskpar.cluster import open_client
from daskpar.config import Config
from daskpar.dashboard.curves import write_curves
from daskpar.errors import InputError
from daskpar.train import Trainer
from daskpar.train.checkpoint import write_text
from daskpar.train.run_folder import HistoryFile, begin_run, summarise


def run(config: Config, resume: bool, console: Console) -> None:
    """Train as the config says and write the run's folder."""
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
        # A task that fails raises here, and is told in one line; workers need not tell it a second time.
        logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)
        if client is not None:
            console.print(f"dashboard {client.dashboard_link}", highlight=False)
        progress = progress_for(console)
        trainer = make_trainer(config, client, [HistoryFile(config.folder), progress])
        moved = begin_run(config.folder, config.as_yaml(), resume)
        if moved is not None:
            console.print(f"{config.folder} was there already; moved to {moved}", highlight=False)
        try:
            trainer.fit(parts.train, validation=parts.validation, resume=resume)
        finally:
            getattr(progress, "stop", lambda: None)()
        finish(trainer, config, parts, console)


def finish(trainer: Trainer, config: Config, parts: Parts, console: Console) -> None:
    """Evaluate on every part, write summary.json and curves.html, and say how it went."""
    scores = {name: trainer.evaluate(part) for name, part in parts._asdict().items() if part is not None}
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


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name} {shown(value)}" for name, value in values.items()]
