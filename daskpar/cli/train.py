"""`daskpar train`: open the data, start the cluster, train, and write the folder of the run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daskpar.backend.atomic import atomic_write
from daskpar.build import Parts, check, make_trainer, open_cluster, open_data
from daskpar.cli.hold import check_hold, hold_dashboard
from daskpar.cli.lines import name_if_unwritable
from daskpar.cli.same_run import check_same_run
from daskpar.cli.start import Start
from daskpar.cluster import CLUSTERS
from daskpar.cluster.executor import THREADED
from daskpar.cluster.performance import Performance, PerformancePage
from daskpar.config import Config
from daskpar.dashboard import page_link
from daskpar.errors import ClusterLostError, InputError
from daskpar.report.timeline import COLUMNS, in_words, tables, write_timeline
from daskpar.train import Trainer
from daskpar.train.checkpoint import Checkpoints
from daskpar.train.progress import progress_on
from daskpar.train.progress.ending import Ending
from daskpar.train.run_folder import RunFolder

PERFORMANCE = "performance.html"
"""The file of Dask's own report in a run's folder, beside profile.html."""


def run(config: Config, start: Start, console: Console, profile: bool = False, evaluate: bool = True) -> None:
    """Train a config's network and write the run's folder.

    `profile`: record all tasks and write a profile. `evaluate`: evaluate all parts after the last step. Where
    the cluster can return, a run whose cluster was lost goes on from its last checkpoint.

    Raises InputError for bad input, before a cluster is started where possible.
    """

    def announce(line: str) -> None:
        console.print(line)

    start.check()
    if start.or_start and is_finished(config):
        check_same_run(config)
        announce(f"{config.folder} is a finished run; nothing to do")
        return
    checkpoints = Checkpoints(config.folder / "checkpoints")
    replace = start.or_start
    start, attempts = start.at(checkpoints.latest()), Attempts(checkpoints)
    while True:
        try:
            return _run_once(config, start, console, profile, evaluate, announce, replace)
        except ClusterLostError as error:
            if not CLUSTERS[config.cluster.kind].can_return or not attempts.again():
                raise
            loss, tries = str(error).split("; ")[0], f"{attempts.count} of {attempts.most}"
            announce(f"{loss}; trying again ({tries} without a new checkpoint)")
            start = start.again(checkpoints.latest())


def _run_once(
    config: Config,
    start: Start,
    console: Console,
    profile: bool,
    evaluate: bool,
    announce: Callable[[str], None],
    replace: bool,
) -> None:
    folder = RunFolder(
        config.folder, config.as_yaml(), start.resume, announce, config.run.name, replace=replace
    )
    folder.check()
    check(config)
    check_hold(config)
    parts = open_data(config)
    with announce_logs(announce), open_cluster(config) as client:
        if client != THREADED:
            announce(f"dashboard {client.dashboard_link}")
            announce(f"training page {page_link(client.dashboard_link)}")
        shown = progress_on(console, summary=False)  # `finish` has the scores of the test part, too
        trainer = make_trainer(config, client, [*start.checks(config), folder, shown], profile)
        performance = Performance(client) if profile else None
        try:
            if start.path is not None:
                trainer.restore(start.path, strict=start.strict)
            trainer.fit(
                parts.train,
                validation=parts.validation,
                resume=start.resume,
                fresh_optimizer=start.fresh_optimizer,
            )
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and folder.saved is not None:
                announce(f"{folder.saved} is kept; `--resume` continues from there")
            raise
        finish(trainer, config, parts if evaluate else None, folder, console)
        if performance is not None:
            show_profile(trainer, config, performance.page(config.as_yaml()), console)
        if config.dashboard.hold:
            hold_dashboard(client, announce)


def is_finished(config: Config) -> bool:
    """Return whether the folder of a config's run is that of a finished run."""
    try:
        summary = json.loads((config.folder / "summary.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(summary, dict) and summary.get("state") == "finished"


class Attempts:
    """Number of attempts of a run without a new checkpoint, at most `most`."""

    most = 3

    def __init__(self, checkpoints: Checkpoints):
        self.count = 0
        self._checkpoints = checkpoints
        self._last = checkpoints.latest()

    def again(self) -> bool:
        """Count an attempt that has failed; return whether there may be another."""
        last = self._checkpoints.latest()
        self.count = self.count + 1 if last == self._last else 1
        self._last = last
        return self.count <= self.most


@contextmanager
def announce_logs(announce: Callable[[str], None]) -> Iterator[None]:
    """Print the library's log lines meanwhile, for example that it compiles kernels."""

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            announce(record.getMessage())

    library, handler = logging.getLogger("daskpar"), Printer()
    level = library.level
    library.addHandler(handler)
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(level)


def final_scores(trainer: Trainer, parts: Parts) -> tuple[dict[str, Any], BaseException | None]:
    """Evaluate on every part; return the scores, and an exception instead of raising it.

    The trained state is on disk by then, and the summary is still to be written.
    """
    scores: dict[str, Any] = {}
    raised: BaseException | None = None
    for name, part in parts._asdict().items():
        try:
            if part is not None:
                scores[name] = trainer.evaluate(part)
        except InputError as error:
            raised = error
        except KeyboardInterrupt as error:
            return scores, error
    return scores, raised


def finish(
    trainer: Trainer, config: Config, parts: Parts | None, folder: RunFolder, console: Console
) -> None:
    """Evaluate on the parts, if any, write the final summary, and print a table of it."""
    scores: dict[str, Any] = {}
    raised: BaseException | None = None
    if parts is not None and config.train.final_evaluation:
        scores, raised = final_scores(trainer, parts)
    summary = folder.finish(trainer, scores)
    parts_shown = {part: summary[part] for part in Parts._fields if part in summary}
    console.print(Ending(trainer, parts_shown, summary["parameters_sha256"], config.folder), soft_wrap=True)
    if raised is not None:
        raise raised


def show_profile(trainer: Trainer, config: Config, dask: PerformancePage, console: Console) -> None:
    """Write profile.json, profile.html and Dask's performance.html, and print the profile as a table."""
    profile, folder = trainer.trace_.profile(), config.folder
    note = f"Dask has no report of its own of this run: {escape(dask.reason)}."
    if dask.html:
        note = f'<a href="{PERFORMANCE}">{PERFORMANCE}</a> is Dask\'s own report of the same time.'
    with name_if_unwritable(str(folder)):
        if dask.html:
            atomic_write(folder / PERFORMANCE, dask.html)
        else:
            (folder / PERFORMANCE).unlink(missing_ok=True)  # that of an earlier, resumed training
        atomic_write(folder / "profile.json", json.dumps(profile.as_dict(), indent=2) + "\n")
        write_timeline(trainer.trace_, profile, folder / "profile.html", f"{config.run.name}: profile", note)
    shows = f"{folder / 'profile.html'} shows the timeline"
    if dask.html:
        shows += f", {folder / PERFORMANCE} is Dask's own report"
    table = Table(title=in_words(profile), caption=shows)
    for column in ("", *COLUMNS):
        table.add_column(column, justify="right" if column else "left")
    for name, rows in tables(profile).items():
        table.add_row(Text(name, "bold"))
        for kind, *values in rows:
            table.add_row(f"  {kind}", *values)
        table.add_section()
    console.print(table)
