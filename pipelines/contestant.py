"""One contestant of the benchmark in its own process, which prints its measurements as a line of JSON.

    python -m pipelines.contestant mlp-small FOLDER ours '{"data": 2}'
    python -m pipelines.contestant mlp-small FOLDER torch threads

FOLDER holds x.npy, y.npy and weights.npz, the same for all contestants. The steps after the warm-up are
timed.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import peers
from pipelines.works import WORKS, Work


def ours(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Train with daskpar on a cluster of threads. `setting`: the layout as JSON, or `"auto"`."""
    from daskpar import Callback, Layout, Trainer, open_client
    from daskpar.backend import blas

    seen: list[tuple[int, float]] = []

    class Clock(Callback):
        def after_steps(self, trainer: Trainer, entries: Any) -> None:
            seen.append((entries[-1][0] + 1, time.perf_counter()))

    x, y, _ = peers.data(folder)
    given = json.loads(setting)
    ((kind, lr),) = work.optimizer.items()
    optimizer = {kind: {"lr": lr, "weight_decay": 0.0}}
    with open_client("threads", workers=blas.cores(), dashboard_port=0) as client:
        trainer = Trainer(
            work.model,
            optimizer=optimizer,
            layout=given if given == "auto" else Layout(**given),
            batch=work.batch,
            steps=work.steps,
            evaluate_every=f"{work.steps} steps",
            distribution="uniform",
            streams=None
            if given == "auto"
            else given.get("data", 1),  # rows in order, as the others draw them
            callbacks=[Clock()],
            client=client,
            seed=0,
            profile=True,
        ).fit(x, y)
    begin = next(i for i, (step, _) in enumerate(seen) if step >= work.warmup)
    (first, start), (last, end) = seen[begin], seen[-1]
    losses = trainer.history_[-1]["each_step"]["loss"]
    return {
        "seconds_per_step": (end - start) / (last - first),
        "loss": float(np.mean(losses[-peers.LAST :])),
        "scheduling_share": trainer.trace_.profile(work.warmup).scheduling_share,
        "gflops": peers.numpy_rate(),
    }


def measure(who: str, work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Run a contestant; return its seconds a step, its loss and its peak memory in bytes."""
    run = ours if who == "ours" else import_module(f"pipelines.peers.{peers.MODULES[who]}").run
    found = run(work, folder, setting)
    return {"peak_bytes": peers.peak_bytes(), **found}


if __name__ == "__main__":
    name, place, who, how = sys.argv[1:5]
    print(json.dumps(measure(who, WORKS[name], Path(place), how)))
