"""Fused operations: one task that calls the functions of several, in the same order.

    grad_model     load_batch ─> forward ─> loss ─> backward (`differentiate`)
    grad           update ─> grad_model
    train_window   gradients of all lanes ─> their sum ─> update, for each step of a window

The result has the same bits as that of the single operations. A window works in place, and its lanes are
threads that synchronise at a barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import iadd
from typing import Any

from daskpar.backend.array import array_module
from daskpar.backend.barrier import run_in_threads
from daskpar.data.chunk import Chunk, draw
from daskpar.layout.owners import shard_spans
from daskpar.layout.partition import Span
from daskpar.layout.tree import levels
from daskpar.tasks.gradient import add_sums, differentiate, ignore_float_errors
from daskpar.tasks.load import first_row, load_batch
from daskpar.tasks.step import apply_update, update
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State, Sums


@ignore_float_errors
def grad_model(spec: Spec, step: int, streams: range, owner: Lane, *chunks: Chunk) -> Gradient:
    """Differentiate the loss over a lane's rows: from a state and chunks, return the gradient."""
    if not chunks:
        return Gradient(spec.xp.zeros(spec.table.size, dtype=spec.precision), ())
    batch = load_batch(spec, step, streams, *chunks)
    return differentiate(spec, owner.state.params, batch, step, first_row(spec, step, streams))


@ignore_float_errors
def grad(
    spec: Spec, step: int, streams: range, lr: float, fresh: bool, owner: Lane, count: int, *values: Any
) -> Lane:
    """Apply the gradients of the last step, then differentiate: one lane of one step in one task.

    `values` are `count` gradients (none at the start of a run), then the chunks to draw from. Returns the new
    state and the lane's gradient. Every lane computes the same update from the same values in the same order,
    so all have the same bits.
    """
    state = update(spec, lr, fresh, owner, *values[:count]).state
    return Lane(state, grad_model(spec, step, streams, Lane(state), *values[count:]))


def train_window(
    spec: Spec,
    rates: Sequence[float],
    lanes: Sequence[range],
    fan_in: int,
    fresh: bool,
    owner: Lane,
    places: Sequence[tuple[int, int]],
    *chunks: Chunk,
) -> Lane:
    """Train a window: one step for each learning rate in `rates`, with a thread for each lane.

    Args:
        spec: The run.
        rates: Learning rate of each step.
        lanes: Streams of each lane.
        fan_in: Fan-in of the tree that adds their gradients.
        fresh: True if the log starts again.
        owner: The state before the window.
        places: The (stream, chunk) of each chunk.
        chunks: All chunks that the steps draw from.

    Returns:
        The state after the window.
    """
    chunk_of = dict(zip(places, chunks, strict=True))
    state = owner.state
    params, slots = state.params.copy(), {k: v.copy() for k, v in state.slots.items()}
    state = State(state.step, params, slots, () if fresh else state.log)
    scratch = [array_module(params).zeros_like(params) for _ in lanes]
    gradients = [Gradient(buffer, ()) for buffer in scratch]
    weights, outs = spec.table.views(params), [spec.table.views(buffer) for buffer in scratch]
    spans = _spans_of_threads(spec, len(lanes))
    log: list[Logged] = []
    norms: list[Sums] = [()] * len(lanes)

    @ignore_float_errors
    def train(lane: int, meet: Callable[[], None]) -> None:
        for step, lr in enumerate(rates, state.step):
            gradients[lane] = differentiated(lane, step)
            meet()
            sums = _summed([gradient.sums for gradient in gradients], fan_in, add_sums)
            if lane < len(spans):
                own = slice(spans[lane].start, spans[lane].stop)
                total = _summed([gradient.buffer[own] for gradient in gradients], fan_in, iadd)
                some = {name: value[own] for name, value in slots.items()}
                span = spans[lane] if len(spans) > 1 else None
                after = apply_update(spec, State(step, params[own], some), total, sums, lr, span)
                norms[lane] = after.log[-1].norms
            meet()
            if lane == 0:
                log.append(Logged(step, sums, norms=reduce(add_sums, norms)))

    def differentiated(lane: int, step: int) -> Gradient:
        epoch, within = spec.order.place(step)
        pieces = spec.order.pieces(epoch, within, lanes[lane])
        if not pieces:
            scratch[lane][...] = 0
            return Gradient(scratch[lane], ())
        batch = draw(spec.order, epoch, pieces, [chunk_of[p.stream, p.chunk] for p in pieces])
        row, named = first_row(spec, step, lanes[lane]), (weights, outs[lane])
        return differentiate(spec, params, batch, step, row, scratch[lane], named)

    run_in_threads(len(lanes), train)
    return Lane(State(state.step + len(rates), params, slots, (*state.log, *log)))


def _summed(values: Sequence[Any], fan_in: int, add: Callable[[Any, Any], Any]) -> Any:
    """Return the sum of the lanes' values, in the order of a tree; `add` may change its first argument."""
    for nodes in levels(len(values), fan_in):
        values = [reduce(add, (values[i] for i in node.inputs)) for node in nodes]
    return reduce(add, values)


def _spans_of_threads(spec: Spec, lanes: int) -> list[Span]:
    """Return the parameters that each thread updates; one span if an update needs all of them."""
    (place,) = spec.partition.places
    alone = not spec.optimizer.elementwise or spec.clip.norm is not None
    return shard_spans(place, 0, 1 if alone else lanes)
