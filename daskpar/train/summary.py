"""The summary of a run: summary.json."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from daskpar.layout.layout import Layout
from daskpar.tasks.state_file import digest
from daskpar.tasks.types import Spec, State
from daskpar.train.history import Record


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
    def seconds_(self) -> float:
        """The seconds of training."""

    @property
    def blas_(self) -> dict[str, Any]:
        """The library and threads of matrix products."""

    @property
    def history_(self) -> list[Record]:
        """The records of the evaluations."""

    @property
    def steps_(self) -> int:
        """The number of steps that led to the state."""

    @property
    def state_(self) -> State:
        """The state after these steps."""


def summarise(run: Trained, scores: dict[str, Any], finished: bool) -> dict[str, Any]:
    """Return the content of summary.json; `scores` has those of train, validation and test."""
    rate = run.history_[-1]["examples_per_second"] if run.history_ else 0.0
    summary = {
        **scores,
        "finished": finished,
        "seconds": round(run.seconds_, 3),
        "examples_per_second": rate,
        "steps": run.steps_run_,
        "parameters": run.spec_.table.count,
        "layout": vars(run.layout_),
        "versions": versions(),
        "blas": run.blas_,
    }
    return {**summary, "parameters_sha256": digest(run.spec_, run.state_)} if finished else summary


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
