"""Tasks that differentiate, whole or part by part, and those that add gradients up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk
from daskpar.errors import NotFiniteError
from daskpar.graph.spec import Backward, Forward, Gradient, Lane, Spec, Sums
from daskpar.graph.tasks.load import first_row, load_batch
from daskpar.nn import program
from daskpar.nn.layer import Context
from daskpar.nn.parameters import collect, first_not_finite

# A loss that is not finite ends the run with a message of its own; NumPy need not warn of it before.
quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")


@quietly
def grad_model(spec: Spec, step: int, streams: range, owner: Lane, *chunks: Chunk) -> Gradient:
    """Gradient of a lane's rows: draw, forward, backward."""
    if not chunks:
        return Gradient(spec.xp.zeros(spec.table.size, dtype=spec.precision), ())
    batch = load_batch(spec, step, streams, *chunks)
    return differentiate(spec, owner.state.params, batch, step, first_row(spec, step, streams))


def differentiate(
    spec: Spec, params: Array, batch: Chunk, step: int, row: int, into: Array | None = None
) -> Gradient:
    """Gradient of the loss over a batch, in `accumulate` slices one after the other.

    `into`: a buffer to write into, which the caller owns.
    """
    xp = array_module(params)
    buffer = xp.zeros_like(params) if into is None else into
    views, out = spec.table.views(params), spec.table.views(buffer)
    rows = len(batch.x)
    sums: Sums = ()
    for k in range(spec.accumulate):
        start, stop = k * rows // spec.accumulate, (k + 1) * rows // spec.accumulate
        if start == stop:
            continue
        ctx = Context(
            True,
            spec.seed,
            step,
            row + start,
            out=None if sums else out,
            input_gradient=False,
            consume=True,
        )
        outputs, saved = spec.model.forward(views, batch.x[start:stop], ctx)
        part, dy = measure(spec, outputs, batch.y[start:stop])
        if not math.isfinite(part[0]):
            explain_not_finite(spec, params, batch.x[start:stop], ctx, part[0])
        _, grads = spec.model.backward(views, saved, dy, ctx)
        if sums:
            again = xp.zeros_like(buffer)
            collect(grads, spec.table.views(again))
            buffer += again
        else:
            collect(grads, out)
        sums = add_sums(sums, part)
    return Gradient(buffer, sums)


def measure(spec: Spec, outputs: Array, targets: Array) -> tuple[Sums, Array]:
    """Sums of loss, weights and metrics over rows, and the gradient of the loss."""
    loss, weight, dy = spec.loss(outputs, targets)
    sums: Sums = (loss, weight)
    for metric in spec.metrics:
        sums += metric.sums(outputs, targets)
    return sums, dy


def add_sums(a: Sums, b: Sums) -> Sums:
    """Element by element; nothing is zero of any length."""
    if not a or not b:
        return a or b
    return tuple(x + y for x, y in zip(a, b, strict=True))


def gradient_of(value: Any) -> Gradient:
    """The gradient that a task handed on, alone or with a state or dx."""
    return value if isinstance(value, Gradient) else value.gradient


def reduce_gradient(*values: Any) -> Gradient:
    """The sum of gradients of the same parameters, in the order given."""
    first, *rest = map(gradient_of, values)
    if not rest:
        return first
    buffer = first.buffer + rest[0].buffer
    sums = add_sums(first.sums, rest[0].sums)
    for gradient in rest[1:]:
        buffer += gradient.buffer
        sums = add_sums(sums, gradient.sums)
    return Gradient(buffer, sums, first.start)


@quietly
def forward_part(
    spec: Spec,
    span: tuple[int, int],
    step: int,
    streams: range,
    owner: Lane,
    value: Chunk | Forward,
    shared: Any = None,
) -> Forward:
    """Operations `span` of the model, forward, on the lane's batch or on what the operations before gave.

    `shared`: where the first of them shares statistics, what all lanes have gathered.
    """
    flow = (
        program.Flow(value.x) if isinstance(value, Chunk) else program.Flow(value.y, value.mask, value.held)
    )
    ctx = Context(True, spec.seed, step, first_row(spec, step, streams))
    params = spec.table.views(owner.state.params)
    flow, saved = program.forward(spec.program, span, params, flow, ctx, reduce_statistics(shared))
    sums = program.gather(spec.program, span[1], params, flow, ctx)
    return Forward(flow.x, saved, flow.mask, flow.held, sums)


@quietly
def forward_loss(spec: Spec, step: int, streams: range, owner: Lane, batch: Chunk, last: Forward) -> Backward:
    """Sums of loss and metrics, and the gradient of the loss with respect to the model's outputs."""
    if not len(batch.x):
        return Backward(last.y, Gradient(last.y.reshape(-1)[:0], ()))
    sums, dy = measure(spec, last.y, batch.y)
    if not math.isfinite(sums[0]):
        ctx = Context(True, spec.seed, step, first_row(spec, step, streams))
        explain_not_finite(spec, owner.state.params, batch.x, ctx, sums[0])
    return Backward(dy, Gradient(dy.reshape(-1)[:0], sums))


@quietly
def backward_part(
    spec: Spec,
    span: tuple[int, int],
    step: int,
    streams: range,
    owner: Lane,
    at: Forward,
    above: Backward,
    upper: Forward | None = None,
    shared: Any = None,
) -> Backward:
    """Operations `span` of the model, backward. Sums that come from the loss pass through the last of them.

    Where the operation that follows them shares statistics, its backward pass begins here: `upper` is what it
    has saved, `shared` what all lanes have gathered. Where the first shares, what it gathers is handed on.
    """
    (first, stop), total = span, len(spec.program)
    shares = spec.program[first].shares
    start, end = program.extent(spec.table, spec.program, program.differentiated(spec.program, span))
    buffer = array_module(owner.state.params).zeros(end - start, dtype=spec.precision)
    out = spec.table.views(buffer, start)
    ctx = Context(True, spec.seed, step, first_row(spec, step, streams), out=out)
    params = spec.table.views(owner.state.params)
    flow = program.Flow(above.dx, None, above.held)
    if upper is not None:
        saved = upper.saved[0]
        total_sums = reduce_statistics(shared)
        dx, grads = program.backward_shared(spec.program, stop, params, saved, flow.x, total_sums, ctx)
        collect(grads, out)
        flow = flow._replace(x=dx)
    rest, saved = (first + shares, stop), at.saved[shares:]
    flow, grads = program.backward(spec.program, rest, params, saved, flow, ctx)
    collect(grads, out)
    sums = program.gather_backward(spec.program, first, params, at.saved[0], flow.x, ctx)
    gradient = Gradient(buffer, above.gradient.sums if stop == total else (), start)
    return Backward(flow.x, gradient, flow.held, sums)


def reduce_statistics(*values: Any) -> Array:
    """The sum of what lanes have gathered for a layer that shares statistics, in the order given.

    Values are sums, or what a lane's task gave with its sums; None, where nothing is shared, stays None.
    """
    found: list[Any] = [value.sums if isinstance(value, Forward | Backward) else value for value in values]
    return sum(found[1:], found[0])


def explain_not_finite(spec: Spec, params: Array, x: Array, ctx: Context, loss: float) -> None:
    """Raise NotFiniteError that names the step and the first layer at fault."""
    where = first_not_finite(spec.table, params)
    if where is not None:
        index = int(where.split(".")[0])
        cause = f"parameter {where} of layer {index} ({spec.model.layers[index].kind}) is not finite"
    else:
        cause = "every layer's output is finite, the loss itself is not"
        views = spec.table.views(params)
        for i, layer in enumerate(spec.model.layers):
            x, _, mask = spec.model.forward_part(i, i + 1, views, x, ctx)
            ctx = ctx.masked(mask)
            if not bool(array_module(x).isfinite(x).all()):
                cause = f"layer {i} ({layer.kind}) is the first with an output that is not finite"
                break
    raise NotFiniteError(
        f"step {ctx.step}: the loss is {loss}; {cause}; lower optimizer.lr, or set train.clip.norm"
    )
