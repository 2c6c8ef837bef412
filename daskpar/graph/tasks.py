"""The task functions: what a worker runs, named as the dashboard shows it. Plain functions of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.random import spawning
from daskpar.data.chunk import Chunk, draw, prepare
from daskpar.data.part import Part
from daskpar.data.transforms import Fitted, Transform
from daskpar.errors import InputError, NotFiniteError
from daskpar.graph.spec import Backward, Forward, Gradient, Lane, Spec, State, Sums
from daskpar.graph.state_file import read_state
from daskpar.nn.layer import Context
from daskpar.nn.parameters import collect, first_not_finite

# A loss that is not finite ends the run with a message of its own; NumPy need not warn of it before.
_quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def load_model(spec: Spec) -> Spec:
    """The run's description, once a worker."""
    return spec


def load_state(spec: Spec, path: str) -> Lane:
    """The state in a file: the root of a lineage that can be run again anywhere that sees the file."""
    return Lane(read_state(spec, path))


def load_initial(spec: Spec) -> Lane:
    """The state before the first step, from the seed."""
    params, _ = spec.model.init(spawning(spec.seed), spec.in_shape)
    buffer = spec.table.flatten(params, spec.precision, spec.xp)
    return Lane(State(0, buffer, spec.optimizer.init(buffer)))


def load_data(spec: Spec, part: Part, positions: tuple[Any, ...]) -> Chunk:
    """A chunk, read from its source. `positions`: (start, stop), or (order, stream, chunk)."""
    if len(positions) == 2:
        where: Any = slice(*positions)
    else:
        order, stream, chunk = positions
        where = order.positions(stream, chunk)
    return load_rows(spec, part, *part.read(where))


def load_rows(spec: Spec, part: Part, x: Any, y: Any) -> Chunk:
    """A chunk from rows that another task has read, e.g. one of dask.array's."""
    chunk = prepare(part.name, x, y, spec.precision, spec.transforms, spec.targets, spec.module)
    if spec.loss.classifies and chunk.y.dtype.kind in "iu" and len(chunk.y):
        low, high = int(chunk.y.min()), int(chunk.y.max())
        classes = max(spec.out_shape[-1], 2)
        if low < 0 or high >= classes:
            raise InputError(
                f"{part.name} data: classes from {low} to {high} for a model with {spec.out_shape[-1]} "
                f"outputs; expected 0 to {classes - 1}"
            )
    return chunk


def read_rows(part: Part, start: int, stop: int) -> tuple[Any, Any]:
    """Rows of a part as they are stored."""
    return part.read(slice(start, stop))


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Examples and targets that two other tasks have read."""
    return x, y


def measure_rows(
    transform: Transform, fitted: Sequence[Fitted], which: str, rows: tuple[Any, Any]
) -> tuple[Any, ...]:
    """What a transform needs to know of some rows: of examples ("x") or of targets ("y")."""
    values = rows[0] if which == "x" else rows[1]
    for before in fitted:
        values = before.apply(values)
    return transform.measure(values)


def load_batch(spec: Spec, step: int, streams: range, *chunks: Chunk) -> Chunk:
    """A lane's rows of the batch of a step; zero rows where the last batch has none for it."""
    if not chunks:
        return Chunk(*(spec.xp.zeros((0, *shape), dtype=spec.precision) for shape in (spec.in_shape, ())))
    epoch, within = divmod(step, spec.order.steps)
    return draw(spec.order, epoch, spec.order.pieces(epoch, within, streams), chunks)


def first_row(spec: Spec, step: int, streams: range) -> int:
    """The place of a lane's first row in the global batch, which random draws go by."""
    return spec.order.count(step % spec.order.steps, range(streams.start))


@_quietly
def grad(
    spec: Spec, step: int, streams: range, lr: float, fresh: bool, owner: Lane, count: int, *values: Any
) -> Lane:
    """One lane of one step in one task: take in the gradients of the last step, update, and differentiate.

    `values` are `count` gradients (none at the start of a run) and then the chunks to draw from. Every lane
    does the same update for itself, from the same values in the same order: the same bits everywhere.
    """
    state = update(spec, lr, fresh, owner, *values[:count]).state
    return Lane(state, grad_model(spec, step, streams, Lane(state), *values[count:]))


@_quietly
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
        ctx = Context(True, spec.seed, step, row + start, out=None if sums else out, input_gradient=False)
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


@_quietly
def update(spec: Spec, lr: float, fresh: bool, owner: Lane, *values: Any) -> Lane:
    """The state one step on, from the gradients of a step; without any, the state as it is.

    `values` are gradients of the whole model, or one for each part of it. `fresh` begins a new log.
    """
    state = owner.state._replace(log=()) if fresh else owner.state
    if not values:
        return Lane(state)
    gradients = [gradient_of(value) for value in values]
    if all(g.buffer.shape == state.params.shape for g in gradients):
        total, sums, _ = reduce_gradient(*gradients)
        owned = total if len(gradients) > 1 else total.copy()
    else:
        owned, sums = array_module(state.params).zeros_like(state.params), ()
        for g in gradients:
            owned[g.start : g.start + g.buffer.shape[0]] += g.buffer
            sums = add_sums(sums, g.sums)
    slots = {name: value.copy() for name, value in state.slots.items()}
    return Lane(advance(spec, state._replace(params=state.params.copy(), slots=slots), owned, sums, lr))


def advance(spec: Spec, state: State, total: Array, sums: Sums, lr: float) -> State:
    """One update in place: `state` and `total` belong to the caller, who gives them away."""
    if not sums or not sums[1] > 0:
        raise NotFiniteError(f"step {state.step}: the weights of the batch sum to zero")
    total *= 1 / sums[1]
    spec.penalty.apply(total, state.params, spec.tensors)
    spec.clip.apply(total)
    params, slots = spec.optimizer.update(
        state.params, total, state.slots, state.step, lr, spec.tensors, donate=True
    )
    return State(state.step + 1, params, slots, (*state.log, (state.step, sums)))


@_quietly
def train_window(
    spec: Spec,
    rates: Sequence[float],
    streams: range,
    places: Sequence[tuple[int, int]],
    owner: Lane,
    *chunks: Chunk,
) -> Lane:
    """Many steps in one task, for steps shorter than a hop: one lane, everything in place.

    `rates`: the learning rate of each step. `chunks`: all that the steps draw from, and `places` the
    (stream, chunk) of each.
    """
    at = dict(zip(places, chunks, strict=True))
    state = owner.state
    params, slots = state.params.copy(), {k: v.copy() for k, v in state.slots.items()}
    state = State(state.step, params, slots)
    scratch = array_module(params).zeros_like(params)
    for lr in rates:
        epoch, within = divmod(state.step, spec.order.steps)
        pieces = spec.order.pieces(epoch, within, streams)
        batch = draw(spec.order, epoch, pieces, [at[p.stream, p.chunk] for p in pieces])
        gradient = differentiate(spec, state.params, batch, state.step, 0, into=scratch)
        state = advance(spec, state, gradient.buffer, gradient.sums, lr)
    return Lane(state)


@_quietly
def forward_part(
    spec: Spec, span: tuple[int, int], step: int, streams: range, owner: Lane, value: Any
) -> Forward:
    """Layers `span` of the model, forward: `value` is the lane's batch or the output of the layers before."""
    x = value.x if isinstance(value, Chunk) else value.y
    ctx = Context(True, spec.seed, step, first_row(spec, step, streams))
    return Forward(*spec.model.forward_part(*span, spec.table.views(owner.state.params), x, ctx))


@_quietly
def forward_loss(spec: Spec, step: int, streams: range, owner: Lane, batch: Chunk, last: Forward) -> Backward:
    """Sums of loss and metrics, and the gradient of the loss with respect to the model's outputs."""
    if not len(batch.x):
        return Backward(last.y, Gradient(last.y.reshape(-1)[:0], ()))
    sums, dy = measure(spec, last.y, batch.y)
    if not math.isfinite(sums[0]):
        ctx = Context(True, spec.seed, step, first_row(spec, step, streams))
        explain_not_finite(spec, owner.state.params, batch.x, ctx, sums[0])
    return Backward(dy, Gradient(dy.reshape(-1)[:0], sums))


@_quietly
def backward_part(
    spec: Spec, span: tuple[int, int], step: int, streams: range, owner: Lane, at: Forward, above: Backward
) -> Backward:
    """Layers `span` of the model, backward. Sums that come from the loss pass through the last of them."""
    start, stop = spec.table.span(*span)
    buffer = array_module(owner.state.params).zeros(stop - start, dtype=spec.precision)
    row = first_row(spec, step, streams)
    out = spec.table.views(buffer, start)
    ctx = Context(True, spec.seed, step, row, out=out, input_gradient=span[0] > 0)
    params = spec.table.views(owner.state.params)
    dx, grads = spec.model.backward_part(*span, params, at.saved, above.dx, ctx)
    collect(grads, out)
    last = span[1] == len(spec.model.layers)
    return Backward(dx, Gradient(buffer, above.gradient.sums if last else (), start))


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
            x, _ = spec.model.forward_part(i, i + 1, views, x, ctx)
            if not bool(array_module(x).isfinite(x).all()):
                cause = f"layer {i} ({layer.kind}) is the first with an output that is not finite"
                break
    raise NotFiniteError(
        f"step {ctx.step}: the loss is {loss}; {cause}; lower optimizer.lr, or set train.clip.norm"
    )


def report(owner: Lane) -> tuple[tuple[int, Sums], ...]:
    """The log of a window: all that the client fetches of it."""
    return owner.state.log


_ROWS = 1024  # rows that are evaluated at once: bounds memory, and is the same everywhere


@_quietly
def evaluate(spec: Spec, owner: Lane, chunk: Chunk) -> Sums:
    """Sums of loss, weights and metrics over a chunk, with dropout and the like switched off."""
    sums: Sums = ()
    views = spec.table.views(owner.state.params)
    for start in range(0, len(chunk.x), _ROWS):
        x, y = chunk.x[start : start + _ROWS], chunk.y[start : start + _ROWS]
        outputs, _ = spec.model.forward(views, x, Context())
        sums = add_sums(sums, measure(spec, outputs, y)[0])
    return sums


PREDICTIONS = ("outputs", "probabilities", "classes")


@_quietly
def predict(spec: Spec, owner: Lane, x: Any, kind: str = "outputs") -> Array:
    """Predictions for a block of examples (rows, ...) as they are stored: one of `PREDICTIONS`."""
    xp = spec.xp
    x = xp.asarray(x).astype(spec.precision)
    for fitted in spec.transforms:
        x = fitted.apply(x)
    if x.shape[1:] != spec.in_shape:
        raise InputError(f"predict: examples of shape {x.shape[1:]}, the model expects {spec.in_shape}")
    views = spec.table.views(owner.state.params)
    turn = {"probabilities": spec.loss.activate, "classes": spec.loss.decide}.get(kind, lambda y: y)
    starts = range(0, max(1, len(x)), _ROWS)
    out = [turn(spec.model.forward(views, x[i : i + _ROWS], Context())[0]) for i in starts]
    return xp.concatenate(out) if len(out) > 1 else out[0]
