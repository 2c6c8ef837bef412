"""dask-ml's Incremental around scikit-learn's MLPClassifier: a block of a Dask array is a batch.

`threads`: on Dask's own threaded scheduler; `cluster`: on the workers of a LocalCluster with its defaults.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask_ml.wrappers import Incremental
from distributed import Client

from daskpar.backend import blas
from pipelines import peers
from pipelines.peers.scikit_learn import classifier
from pipelines.works import Work


def run(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Train a work on the data in a folder. `setting`: `threads` or `cluster`."""
    x, y, weights = peers.data(folder)
    net = Incremental(None, shuffle_blocks=False)
    net.estimator_ = classifier(work, x, y, weights)
    net.estimator_.loss_curve_.clear()
    per_epoch = len(x) // work.batch
    local: Any = {"n_workers": blas.cores(), "threads_per_worker": 1, "dashboard_address": ":0"}
    with Client(**local) if setting == "cluster" else nullcontext():
        blocks_x = da.from_array(x, chunks=(work.batch, *x.shape[1:])).persist()
        blocks_y = da.from_array(y, chunks=work.batch).persist()
        start = 0.0
        for epoch in range(work.steps // per_epoch):
            if epoch == work.warmup // per_epoch:
                start = time.perf_counter()
            net.partial_fit(blocks_x, blocks_y)
        seconds = time.perf_counter() - start
    timed = work.steps // per_epoch - work.warmup // per_epoch
    return {
        "seconds_per_step": seconds / timed / per_epoch,
        "loss": float(np.mean(net.estimator_.loss_curve_[-peers.LAST :])),
        "gflops": peers.numpy_rate(),
    }
