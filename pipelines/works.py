"""The works of the benchmark: networks, batches and data that all contestants share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskpar import Trainer


@dataclass(frozen=True)
class Work:
    """A fully connected network of these sizes, trained with plain SGD on softmax cross-entropy."""

    sizes: tuple[int, ...]
    batch: int
    lr: float
    steps: int
    warmup: int
    layouts: tuple[dict[str, Any], ...]

    @property
    def layers(self) -> list[Any]:
        layers: list[Any] = []
        for units in self.sizes[1:]:
            layers += [{"dense": units}, "relu"]
        return layers[:-1]

    @property
    def flops(self) -> int:
        """Floating point operations of a step: three products a layer, two in the first (nobody needs dx)."""
        products = [2 * self.batch * a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3 * sum(products) - products[0]


WORKS = {
    "mlp-large": Work((784, 1024, 1024, 10), 4096, 0.05, 40, 8, ({"data": 2}, {"grain": "window"})),
    "mlp-small": Work((784, 256, 10), 256, 0.05, 3000, 600, ({"grain": "window"}, {"data": 1}, {"data": 2})),
}


def prepare(work: Work, folder: Path) -> None:
    """Write data that can be learnt and initial weights, from seeds."""
    rng = np.random.default_rng(0)
    rows = 8 * work.batch
    centres = rng.random((10, work.sizes[0]), dtype=np.float32)
    y = rng.integers(0, 10, rows)
    x = 0.5 * centres[y] + rng.random((rows, work.sizes[0]), dtype=np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    initial = Trainer(work.layers, optimizer={"sgd": 1e-30}, batch=32, seed=0, client="threaded-scheduler")
    np.savez(folder / "weights.npz", **initial.fit(x[:32], y[:32]).parameters_)
