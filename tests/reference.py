"""Training as a plain loop in one process: what every layout must agree with."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskpar.backend.random import init_rng
from daskpar.data import Sampler
from daskpar.nn import Context, Loss, ParameterTable, Sequential, SoftmaxCrossEntropy
from daskpar.nn.parameters import collect
from daskpar.optim import Adam, Optimizer, Tensors


def batches(order: Sampler, x: np.ndarray, y: np.ndarray, epoch: int) -> Any:
    """The batches of an epoch, worked out from the order's definition row by row."""
    everything = range(order.streams)
    for step in range(order.steps):
        rows = []
        for p in order.pieces(epoch, step, everything):
            where = np.arange(len(x))[order.positions(p.stream, p.chunk)]
            shuffle = order.row_order(epoch, p.stream, p.chunk, y[where])
            rows.append((where if shuffle is None else where[shuffle])[p.start : p.stop])
        index = np.concatenate(rows)
        yield x[index], y[index]


def every(grads: Any, params: Any) -> Any:
    """Gradients for all parameters, with nothing where a layer without any was not asked."""
    return {k: every(grads.get(k, {}), v) if isinstance(v, dict) else grads[k] for k, v in params.items()}


def train(
    model: Sequential,
    x: np.ndarray,
    y: np.ndarray,
    order: Sampler,
    epochs: int,
    lr: float,
    seed: int,
    precision: str | None = None,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
) -> dict[str, np.ndarray]:
    """Parameters by name after `epochs` of Adam on softmax cross-entropy, or of what else is given."""
    params, _ = model.init(init_rng(seed), x.shape[1:])
    table = ParameterTable.of(params)
    buffer = table.flatten(params, precision or x.dtype)
    optimizer, loss = optimizer or Adam(lr), loss or SoftmaxCrossEntropy()
    slots = optimizer.init(buffer)
    step = 0
    for epoch in range(epochs):
        for rows, targets in batches(order, x, y, epoch):
            ctx = Context(training=True, seed=seed, step=step)
            views = table.views(buffer)
            outputs, saved = model.forward(views, rows, ctx)
            _, weight, dy = loss(outputs, targets)
            _, grads = model.backward(views, saved, dy, ctx)
            total = table.flatten(every(grads, params), precision or x.dtype)
            observed = model.observe(views, table.views(total))
            for start, stop in table.statistics:
                total[start:stop] = 0
            total /= weight
            tensors = Tensors(table.ranges, table.decayed)
            buffer, slots = optimizer.update(buffer, total, slots, step, lr, tensors)
            collect(observed, table.views(buffer))
            step += 1
    return table.named(buffer)
