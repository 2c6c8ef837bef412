"""A block of each kind, as a user writes them in a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tripled import THREE  # a module that lies beside this one

from daskpar import register
from daskpar.cluster import ClusterKind
from daskpar.data import Source
from daskpar.data.fitted import Fitted, Measure, Transform
from daskpar.nn import Layer, Loss, Metric
from daskpar.nn.layer import Context, Params
from daskpar.optim import Optimizer, Schedule
from daskpar.settings import setting


@register("own_scale")
@dataclass(frozen=True)
class Scale(Layer):
    by: float = 2.0

    def forward(self, params: Params, x: Any, ctx: Context) -> tuple[Any, Any]:
        return x * self.by, None

    def backward(self, params: Params, saved: Any, dy: Any, ctx: Context) -> tuple[Any, Params]:
        return dy * self.by, {}


@register("own_loss")
@dataclass(frozen=True)
class Squares(Loss):
    def __call__(self, outputs: Any, targets: Any) -> tuple[float, float, Any]:
        error = outputs - targets
        return float((error * error).sum()), float(len(error)), 2 * error


@register("own_metric")
@dataclass(frozen=True)
class Largest(Metric):
    def sums(self, outputs: Any, targets: Any, loss: Loss) -> tuple[float, ...]:
        return float(np.abs(outputs).max(axis=1).sum()), float(len(outputs))


@register("own_sgd")
@dataclass(frozen=True)
class Plain(Optimizer):
    lr: float = 0.01

    def _in_place(self, params: Any, grads: Any, slots: Any, step: int, lr: float, tensors: Any) -> None:
        params -= lr * grads


@register("own_halving")
@dataclass(frozen=True)
class Halving(Schedule):
    every: int = 100

    def _after(self, step: int, total: int) -> float:
        return 0.5 ** (step // self.every)


@register("own_shifted")
@dataclass(frozen=True)
class Shifted(Fitted):
    by: float

    def apply(self, x: Any) -> Any:
        return x - np.asarray(self.by, x.dtype)


@register("own_centre")
@dataclass(frozen=True)
class Centre(Transform):
    def measure(self, x: np.ndarray) -> Measure:
        return float(x.sum()), x.size

    def combine(self, a: Measure, b: Measure) -> Measure:
        return a[0] + b[0], a[1] + b[1]

    def fit(self, measure: Measure) -> Fitted:
        return Shifted(measure[0] / measure[1])


@register("own_blobs")
@dataclass(frozen=True)
class Blobs(Source):
    points: int = setting(60, "rows that are drawn", at_least=10)
    path: str = setting("nowhere", "a key that other sources have, too")

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        y = rng.integers(0, THREE, self.points).astype(np.int32)
        return (rng.standard_normal((self.points, 4)) + 3 * np.eye(4)[y]).astype("float32"), y


@register("own_room")
@dataclass(frozen=True)
class Room(ClusterKind):
    """A LocalCluster in this process; `seen` says that it was opened."""

    desks: int = setting(1, "threads of its worker", at_least=1)
    apart: ClassVar[bool] = False
    seen: ClassVar[list[int]] = []

    @contextmanager
    def client(self) -> Iterator[Any]:
        from distributed import Client, LocalCluster

        self.seen.append(self.desks)
        options = {"processes": False, "n_workers": 1, "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(threads_per_worker=self.desks, **options) as cluster, Client(cluster) as client:
            yield client
