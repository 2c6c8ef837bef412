"""scikit-learn's MLPClassifier, a batch at a time through `partial_fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from daskpar import Dense
from pipelines import peers
from pipelines.works import Work


def run(work: Work, folder: Path, setting: str) -> dict[str, Any]:
    """Train a work on the data in a folder."""
    x, y, weights = peers.data(folder)
    net = classifier(work, x, y, weights)

    def step(rows: slice) -> Any:
        net.partial_fit(x[rows], y[rows])
        return net.loss_

    return {**peers.timed(work, len(x), step), "gflops": peers.numpy_rate()}


def classifier(work: Work, x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray]) -> MLPClassifier:
    """Return a network with these initial weights that trains by plain gradient descent."""
    sizes = [layer.units for layer in work.model.layers if isinstance(layer, Dense)]
    net = MLPClassifier(
        sizes[:-1],
        solver="sgd",
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=False,
        learning_rate_init=work.optimizer["sgd"],
        batch_size=work.batch,
    )
    net.partial_fit(x[: work.batch], y[: work.batch], classes=np.unique(y))
    for i in range(len(sizes)):
        net.coefs_[i][...] = weights[f"{2 * i}.weight"]
        net.intercepts_[i][...] = weights[f"{2 * i}.bias"]
    return net
