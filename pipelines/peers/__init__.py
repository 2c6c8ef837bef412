"""The other libraries of the benchmark, each with the settings that are tried (`SETTINGS`).

A module for each peer has `run(work, folder, setting)`, which trains on the data in `folder` and returns
`seconds_per_step`, `loss` (the mean of the last five steps), and `gflops`, its own rate for a plain product.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pipelines.works import Work

SETTINGS = {
    "torch": ("threads", "compile", "ddp"),
    "sklearn": ("threads",),
    "dask-ml": ("threads", "cluster"),
    "jax": ("jit",),
}
MODULES = {"torch": "pytorch", "sklearn": "scikit_learn", "dask-ml": "dask_ml_peer", "jax": "jax_nets"}
LAST = 5  # steps whose losses are compared


def data(folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the examples, the targets and the initial weights that all contestants share."""
    return np.load(folder / "x.npy"), np.load(folder / "y.npy"), dict(np.load(folder / "weights.npz"))


def timed(work: Work, rows: int, step: Callable[[slice], Any]) -> dict[str, Any]:
    """Run all steps in order over the rows; time those after the warm-up. `step` returns its loss."""
    per_epoch = rows // work.batch
    losses, start = [], 0.0
    for k in range(work.steps):
        if k == work.warmup:
            start = time.perf_counter()
        at = k % per_epoch * work.batch
        losses.append(step(slice(at, at + work.batch)))
    last = float(np.mean([float(value) for value in losses[-LAST:]]))  # waits for steps that run ahead
    seconds = time.perf_counter() - start
    return {"seconds_per_step": seconds / (work.steps - work.warmup), "loss": last}


def rate(product: Callable[[], Any], size: int) -> float:
    """Return the GFLOP/s of a product of two square matrices, the median of nine."""
    times = []
    product()
    for _ in range(9):
        start = time.perf_counter()
        product()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / median(times) / 1e9


def numpy_rate(size: int = 2048) -> float:
    """Return the GFLOP/s of NumPy's product in float32 on all cores: the peak of a machine."""
    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    return rate(lambda: a @ a, size)


def peak_bytes() -> int:
    """Return the peak memory of this process in bytes; `getrusage` would count its parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
