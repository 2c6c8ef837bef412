"""Events of a run for the training page of its scheduler (`daskpar.dashboard`).

A window of steps is one event of at most some kilobytes: of many steps those with the lowest and the highest
losses are sent. Nothing is sent on Dask's threaded scheduler, which has no page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from daskpar.graph.load import LOAD
from daskpar.layout.picture import layout_rows
from daskpar.layout.plan import Op, Section
from daskpar.tasks.gradient import add_sums
from daskpar.tasks.layer_norms import layer_names, norms_of
from daskpar.train.events import Entry, Evaluated, Event, Saved, StepsDone
from daskpar.train.history import mean_loss, scores
from daskpar.train.labels import Scale
from daskpar.train.progress.meter import Meter
from daskpar.train.tokens import new_token

if TYPE_CHECKING:
    from daskpar.tasks.types import Log
    from daskpar.train.run import Run
    from daskpar.train.view import RunView

logger = logging.getLogger("daskpar")

_MOST_STEPS = 96  # of a window that are sent
_METRIC_POINTS = 6  # of a window
_MOST_NORMS = 12  # measured steps of a window that are sent
_MOST_ROWS = 256  # of the picture of the layout


class Publisher:
    """Sender of a run's events to its scheduler. `hear` takes each event of the run.

    It is a context manager, which sends the end of the run.
    """

    def __init__(self, run: Run, view: RunView):
        self.run, self.view, self.executor = run, view, run.executor
        self.id = new_token()
        self.meter = Meter(run.steps_planned, run.steps_run)
        self._tokens: set[str] = set()
        driver = run.driver
        chunks = len(driver.emitter.chunks) + len(driver.evaluated)
        self._data = {"key": f"{LOAD.name}-{driver.token}", "chunks": chunks, "kept": not driver.sources}
        self._open = self._send("begin", about=self._about(), slots=self._slots())

    def _send(self, kind: str, **content: object) -> bool:
        answer = self.executor.publish({"kind": kind, "run": self.id, "at": time.time(), **content})
        if kind == "begin" and answer is not None and not answer["dask_pages"]:
            logger.info(
                "the scheduler has no bokeh, so Dask's own pages are missing; the training page is there, at "
                "/daskpar"
            )
        return answer is not None

    def hear(self, event: Event) -> None:
        """Send an event, if the scheduler has a page."""
        if not self._open:
            return
        self._tell_operations()
        match event:
            case StepsDone(entries, log):
                self._steps(entries, log)
            case Evaluated(record):
                parts = {part: _numbers(record[part]) for part in ("train", "validation")}
                short = {name: record[name] for name in ("step", "epoch", "seconds")}
                self._send("evaluation", record={**short, **parts})
            case Saved(step, folder):
                self._send("checkpoint", step=step, folder=str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if not self._open:
            return
        run = self.run
        state = "finished" if run.steps_run >= run.steps_planned else "stopped"
        if error is not None:
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        reason = "" if error is None else str(error) or type(error).__name__
        self._send("end", state=state, reason=reason, step=run.steps_run, seconds=run.seconds)
        self._open = False

    def _steps(self, entries: list[Entry], log: Log) -> None:
        run, spec, order = self.run, self.run.spec, self.run.spec.order
        losses = [mean_loss(spec, sums) for _, sums, _ in entries]
        kept = _extremes(losses)
        self.meter.reach(entries[-1][0] + 1)
        speed: dict[str, float] = {}
        if self.meter.span is not None:
            first, last, seconds = self.meter.span
            rows = order.drawn(last) - order.drawn(first)
            speed = {
                "examples_per_second": rows / max(seconds, 1e-6),
                "seconds_per_step": seconds / max(1, last - first),
            }
        stale = [(entry.step + 1, entry.staleness) for entry in log if entry.staleness]
        staleness = {
            "mean": [(step, sum(each) / len(each)) for step, each in stale[-_METRIC_POINTS:]],
            "max": [(step, max(each)) for step, each in stale[-_METRIC_POINTS:]],
        }
        self._send(
            "steps",
            step=entries[-1][0] + 1,
            seconds=run.seconds,
            steps=[entries[i][0] + 1 for i in kept],
            loss=[losses[i] for i in kept],
            learning_rate=[entries[i][2] for i in kept],
            metrics=self._metrics(entries),
            staleness=staleness if stale else {},
            layers=[(entry.step + 1, *norms_of(spec, entry.norms)) for entry in log if entry.norms][
                -_MOST_NORMS:
            ],
            **speed,
        )

    def _metrics(self, entries: list[Entry]) -> dict[str, list[tuple[int, float]]]:
        """Return points of each metric, each a mean over some of the steps."""
        spec = self.run.spec
        if not spec.step_metrics:
            return {}
        ends = np.linspace(0, len(entries), min(len(entries), _METRIC_POINTS) + 1).astype(int)
        points: dict[str, list[tuple[int, float]]] = {}
        for start, stop in pairwise(ends.tolist()):
            sums: tuple[float, ...] = ()
            for _, more, _ in entries[start:stop]:
                sums = add_sums(sums, more)
            for name, value in _numbers(scores(spec, sums)).items():
                if name != "loss":
                    points.setdefault(name, []).append((entries[stop - 1][0] + 1, value))
        return points

    def _about(self) -> dict[str, object]:
        run, settings = self.run, self.run.problem.settings
        spec, layout = run.spec, run.layout
        scale = Scale.of(self.view)
        cuts = {name: value for name, value in vars(layout).items() if value != getattr(type(layout)(), name)}
        return {
            "name": Path(settings.folder).name if settings.folder else f"training {self.id[:4]}",
            "folder": None if settings.folder is None else str(Path(settings.folder).absolute()),
            "steps": run.steps_planned,
            "resumed_at": run.steps_run,
            "epoch": {"steps": scale.per_epoch, "from": scale.epochs_from, "before": scale.epochs_before},
            "batch": spec.order.batch,
            "rows": run.problem.train.rows,
            "parameters": spec.table.count,
            "model": " > ".join(layer.kind for layer in spec.model.layers),
            "optimizer": str(spec.optimizer),
            "loss": str(spec.loss.kind),
            "layout": {name: str(value) for name, value in cuts.items()},
            "layout_text": ", ".join(f"{name}: {value}" for name, value in cuts.items()) or "one lane",
            "layers": layer_names(spec) if spec.norms_every else [],
            "processes": not self.executor.in_process,
            "larger_is_better": [metric.name for metric in spec.metrics if metric.larger_is_better],
        }

    def _slots(self) -> list[dict[str, object]]:
        """Return the place of each slot in the picture of the layout."""
        layout = self.run.layout
        return [
            {"slot": slot, "row": row.label, "lane": row.lane, "branch": row.branch, "stage": stage}
            for row in islice(layout_rows(layout, layout.depth), _MOST_ROWS)
            for stage, slot in enumerate(row.slots)
        ]

    def _tell_operations(self) -> None:
        """Send the names and slots of the operations, again after a restart gave them new names."""
        driver = self.run.driver
        if driver.token in self._tokens:
            return
        if self._tokens:
            self._send("mark", mark="restart", text="continued from the last restart point")
        self._tokens.add(driver.token)
        plan = driver.emitter.plan
        operations: dict[str, tuple[str, str, list[tuple[object, int | None]]]] = {}
        for section in (plan.step, plan.snapshot, plan.average):
            for op in _operations(section):
                key = f"{op.kind.name}-{driver.token}"
                operations.setdefault(key, (op.kind.name, op.kind.verb, []))[2].append(
                    (op.coordinates, op.slot)
                )
        told = [(key, *operation) for key, operation in operations.items()]
        self._send("operations", operations=told, data=self._data)


def _operations(section: Section | None) -> list[Op]:
    return [] if section is None else section.ops


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    """Return the scores that are numbers; tables such as a confusion matrix are left out."""
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _extremes(values: list[float]) -> list[int]:
    """Return the places of the values to send: all of a few, of many the extremes of each stretch."""
    if len(values) <= _MOST_STEPS:
        return list(range(len(values)))
    array = np.asarray(values)
    kept = {0, len(values) - 1}
    for start, stop in pairwise(np.linspace(0, len(values), _MOST_STEPS // 2).astype(int).tolist()):
        kept |= {start + int(array[start:stop].argmin()), start + int(array[start:stop].argmax())}
    return sorted(kept)
