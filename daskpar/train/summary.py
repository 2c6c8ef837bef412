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
    def history_(self) -> list[Record]: ...
    @property
    def steps_(self) -> int: ...
    @property
    def state_(self) -> State: ...


def summarise(run: Trained, scores: dict[str, Any], finished: bool) -> dict[str, Any]:
    """Return the content of summary.json; `scores` are those of train, validation and test."""
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
    """Return the scores at the evaluation of the run's state, or at the last one while it goes on."""
    history = run.history_
    record = next((record for record in reversed(history) if record["step"] == run.steps_), history[-1])
    return {part: record[part] for part in ("train", "validation") if record[part]}


def versions(*more: str) -> dict[str, str]:
    """Return the versions of what a result depends on and of `more` packages, where installed."""
    found = {"python": platform.python_version()}
    for name in ("daskpar", "numpy", "numba", "dask", "distributed", "cupy-cuda13x", *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
