"""The measurement of a model's operations on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from daskpar.backend.random import init_rng
from daskpar.layout.layout import Layout
from daskpar.nn import operations as program
from daskpar.nn.layer import Context
from daskpar.tasks.types import Spec

_ROUNDS = 5


def operation_times(spec: Spec, operations: Sequence[program.Operation], rows: int) -> list[float]:
    """Measure the seconds of each operation's forward and backward pass on `rows` rows.

    The result is the best of a few rounds, on the device of this process, with initial parameters and random
    inputs.
    """
    xp = spec.xp
    params, _ = spec.model.init(init_rng(spec.seed), spec.in_shape)
    buffer = spec.table.flatten(params, spec.precision, xp)
    views, rng = spec.table.views(buffer), np.random.default_rng(0)
    x = rng.standard_normal((rows, *spec.in_shape)).astype(spec.precision)
    if spec.model.tokens:
        x = np.zeros((rows, *spec.in_shape), dtype=spec.x_dtype)
    x = xp.asarray(x)
    first = program.first_trained(spec.table, operations)
    best = [math.inf] * len(operations)
    for _ in range(_ROUNDS):
        ctx = Context(True, spec.seed)
        flow, saved, spent = program.Flow(x), [], [0.0] * len(operations)
        for i in range(len(operations)):
            start = time.perf_counter()
            flow, keep = program.forward(operations, (i, i + 1), views, flow, ctx)
            _settle(xp)
            spent[i] += time.perf_counter() - start
            saved.append(keep)
        flow = flow._replace(held=())
        for i in reversed(range(len(operations))):
            start = time.perf_counter()
            flow, _ = program.backward(operations, (i, i + 1), views, saved[i], flow, ctx, first)
            _settle(xp)
            spent[i] += time.perf_counter() - start
        best = list(map(min, best, spent))
    return best


def _settle(xp: ModuleType) -> None:
    """Wait until the device has finished, since kernels on a GPU run asynchronously."""
    if hasattr(xp, "cuda"):
        xp.cuda.get_current_stream().synchronize()


def lane_weights(layout: Layout, seconds: Sequence[float]) -> tuple[float, ...]:
    """Return weights of lanes in proportion to the speed of their workers; the slowest lane has weight 1.

    Lanes on the same worker share its speed. `seconds` is the time of each worker for the same work.
    """
    workers = len(seconds)
    worker_of = [layout.lane_slot(lane) * workers // layout.slots for lane in range(layout.data)]
    speeds = [1 / seconds[worker] / worker_of.count(worker) for worker in worker_of]
    return tuple(round(speed / min(speeds), 3) for speed in speeds)
