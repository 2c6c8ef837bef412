"""The summary of a run: summary.json."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

from daskpar.backend.processor import processor
from daskpar.layout.layout import Layout
from daskpar.reprs import differing
from daskpar.tasks.state_file import digest
from daskpar.tasks.types import Spec, State
from daskpar.train.best import best_of, main_score
from daskpar.train.history import Record

RunState = Literal["running", "finished", "stopped"]


class Trained(Protocol):
    """Protocol of a trained model, as far as a summary describes it."""

    @property
    def spec_(self) -> Spec:
        """The Spec of the run."""

    @property
    def layout_(self) -> Layout:
        """The layout of the run."""

    @property
    def steps_run_(self) -> int:
        """The number of steps computed."""

    @property
    def steps_planned_(self) -> int:
        """The number of steps without an early end."""

    @property
    def seconds_(self) -> float:
        """The seconds of training."""

    @property
    def blas_(self) -> dict[str, Any]:
        """The library and threads of matrix products."""

    @property
    def goodput_(self) -> float | None:
        """The share of the wall time that was spent in steps that count."""

    @property
    def badput_(self) -> dict[str, float]:
        """The other seconds by cause."""

    @property
    def history_(self) -> list[Record]:
        """The records of the evaluations."""

    @property
    def steps_(self) -> int:
        """The number of steps that led to the state."""

    @property
    def state_(self) -> State:
        """The state after these steps."""


def summarise(run: Trained, scores: dict[str, Any], state: RunState) -> dict[str, Any]:
    """Return the content of summary.json; `scores` has those of train, validation and test."""
    history, finished = run.history_, state == "finished"
    rate = history[-1]["examples_per_second"] if history else 0.0
    goodput = run.goodput_
    summary = {
        **scores,
        "best": best_scores(run),
        "state": state,
        "finished": finished,
        "seconds": round(run.seconds_, 3),
        "examples_per_second": rate,
        "goodput": None if goodput is None else round(goodput, 4),
        "badput": {cause: round(seconds, 3) for cause, seconds in run.badput_.items()},
        "epochs": history[-1]["epoch"] if history else 0.0,
        "steps": run.steps_run_,
        "parameters": run.spec_.table.count,
        "layout": vars(run.layout_),
        "layout_text": short_layout(run.layout_),
        "versions": versions(),
        "machine": machine(),
        "blas": run.blas_,
    }
    return {**summary, "parameters_sha256": digest(run.spec_, run.state_)} if finished else summary


def best_scores(run: Trained) -> dict[str, dict[str, float]]:
    """Return the best value of each score by its full name, the main score first, with its evaluation."""
    last = run.history_[-1] if run.history_ else None
    part = None if last is None else "validation" if last["validation"] else "train"
    if last is None or part is None:
        return {}
    names = [f"{part}.{name}" for name, value in last[part].items() if isinstance(value, float)]
    first = main_score(last)
    best = [best_of(run.spec_, run.history_, name) for name in sorted(names, key=lambda name: name != first)]
    return {b.name: {"value": b.value, "step": b.step, "epoch": b.epoch} for b in best if b is not None}


def machine() -> dict[str, str | int]:
    """Return the system, the processor and the number of cores of the program that trains."""
    return {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count() or 1}


def short_layout(layout: Layout) -> str:
    """Return the fields of a layout that differ from their defaults, e.g. "data: 2, stages: 2".

    >>> short_layout(Layout(data=2, stages=2)), short_layout(Layout())
    ('data: 2, stages: 2', '1 lane')
    """
    return ", ".join(f"{name}: {value}" for name, value, _ in differing(layout)) or "1 lane"


def scores_of(run: Trained) -> dict[str, Any]:
    """Return the scores of the evaluation of the run's state, or of the last one during the run."""
    history = run.history_
    record = next((record for record in reversed(history) if record["step"] == run.steps_), history[-1])
    return {part: record[part] for part in ("train", "validation") if record[part]}


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that results depend on, and of `more` packages."""
    installed = {"python": platform.python_version()}
    for name in ("daskpar", "numpy", "numba", "dask", "distributed", "cupy-cuda13x", *more):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
