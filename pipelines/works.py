"""The works of the benchmark: networks, batches and data that all contestants share.

name -> Work(layers, data, batch, optimizer, steps, ...) -> x.npy, y.npy, weights.npz for every contestant
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskpar import Sequential, Trainer
from daskpar.nn import registry

Data = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Work:
    """A network, its data and its training, with softmax cross-entropy.

    `data(rows)`: examples and targets. `batches`: number of different batches. `steps`: all steps; the first
    `warmup` are not timed. `layouts`: those that daskpar tries.
    """

    layers: tuple[Any, ...]
    data: Callable[[int], Data]
    batch: int
    optimizer: dict[str, Any]
    steps: int
    warmup: int
    layouts: tuple[dict[str, Any], ...]
    batches: int = 8

    @property
    def model(self) -> Sequential:
        """The network as a layer."""
        return registry.model(list(self.layers))

    def flops(self) -> int:
        """Return the floating-point operations of a step.

        The backward pass counts twice the forward pass, without the gradient of the input.
        """
        x, _ = self.data(1)
        shape, counts = x.shape[1:], []
        for layer in self.model.layers:
            out = layer.init(np.random.default_rng(0), shape)[1]
            counts.append(layer.flops(shape, out))
            shape = out
        first = next(i for i, n in enumerate(counts) if n)
        return self.batch * (3 * sum(counts) - (0 if x.dtype.kind == "i" else counts[first]))


def pictures(*shape: int) -> Callable[[int], Data]:
    """Return a function that draws images of ten classes: a pattern for each, with noise."""

    def data(rows: int) -> Data:
        rng = np.random.default_rng(0)
        patterns = rng.random((10, *shape), dtype=np.float32)
        y = rng.integers(0, 10, rows)
        return 0.5 * patterns[y] + rng.random((rows, *shape), dtype=np.float32), y

    return data


def text(words: int, block: int) -> Callable[[int], Data]:
    """Return a function that draws sequences; with probability 0.9 a word is followed by its successor."""

    def data(rows: int) -> Data:
        rng = np.random.default_rng(0)
        successor = rng.permutation(words)
        out = rng.integers(0, words, (rows, block + 1))
        follows = rng.random((rows, block + 1)) < 0.9
        for t in range(1, block + 1):
            out[:, t] = np.where(follows[:, t], successor[out[:, t - 1]], out[:, t])
        return out[:, :-1].astype(np.int32), out[:, 1:]

    return data


def dense(*sizes: int) -> tuple[Any, ...]:
    """Return dense layers of these sizes with rectifiers between them."""
    return tuple(part for units in sizes for part in ({"dense": units}, "relu"))[:-1]


CNN = ({"conv2d": 32}, "relu", {"conv2d": 64}, "relu", {"max_pool": 2}, "flatten", *dense(128, 10))
BLOCKS = ["learned_positions", {"repeat": {"times": 4, "layers": [{"transformer_block": 4}]}}, "layer_norm"]
GPT = ({"tied_embedding": {"words": 65, "features": 128, "layers": BLOCKS}},)
LANES = ({"data": 2, "grain": "window"}, {"data": 2})

WORKS = {
    "mlp-large": Work(
        dense(1024, 1024, 10), pictures(784), 4096, {"sgd": 0.05}, steps=40, warmup=8, layouts=LANES
    ),
    "mlp-small": Work(
        dense(256, 10), pictures(784), 256, {"sgd": 0.05}, 3000, 600, ({"grain": "window"}, LANES[0])
    ),
    "cnn": Work(CNN, pictures(28, 28, 1), 256, {"sgd": 0.005}, steps=40, warmup=8, layouts=LANES[:1]),
    "gpt": Work(GPT, text(65, 64), 12, {"adamw": 1e-3}, steps=300, warmup=60, layouts=LANES[:1], batches=60),
}


def prepare(work: Work, folder: Path) -> None:
    """Write the data and the initial weights of a work into a folder."""
    x, y = work.data(work.batches * work.batch)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    initial = Trainer(work.model, optimizer={"sgd": 1e-30}, batch=4, seed=0, client="threaded-scheduler")
    np.savez(folder / "weights.npz", **initial.fit(x[:4], y[:4]).parameters_)
