"""Fused operations: one task that calls the functions of several, in the same order.

    grad_model     load_batch, then forward, loss and backward (`differentiate`)
    grad           update, then grad_model
    train_window   the same over time: every lane's gradient, their sum and the update, step after step

Nothing is computed in another way than by the operations alone. A window works in place, and its lanes are
threads that meet at a barrier: this is how it runs, not what it computes.
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
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State


@ignore_float_errors
def grad_model(spec: Spec, step: int, streams: range, owner: Lane, *chunks: Chunk) -> Gradient:
    """Gradient of a lane's rows: draw, forward, backward."""
    if not chunks:
        return Gradient(spec.xp.zeros(spec.table.size, dtype=spec.precision), ())
    batch = load_batch(spec, step, streams, *chunks)
    return differentiate(spec, owner.state.params, batch, step, first_row(spec, step, streams))


@ignore_float_errors
def grad(
    spec: Spec, step: int, streams: range, lr: float, fresh: bool, owner: Lane, count: int, *values: Any
) -> Lane:
    """One lane of one step in one task: take in the gradients of the last step, update, and differentiate.

    `values` are `count` gradients (none at the start of a run) and then the chunks to draw from. Every lane
    does the same update for itself, from the same values in the same order: the same bits everywhere.
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
    """A step for each learning rate in `rates`, lanes side by side.

    `lanes`: the streams of each lane; their gradients are added as `fan_in` has it. `chunks`: all that the
    steps draw from, and `places` the (stream, chunk) of each. `fresh` begins a new log.
    """
    at = dict(zip(places, chunks, strict=True))
    state = owner.state
    params, slots = state.params.copy(), {k: v.copy() for k, v in state.slots.items()}
    state = State(state.step, params, slots, () if fresh else state.log)
    scratch = [array_module(params).zeros_like(params) for _ in lanes]
    gradients = [Gradient(buffer, ()) for buffer in scratch]
    weights, outs = spec.table.views(params), [spec.table.views(buffer) for buffer in scratch]
    spans = _apart(spec, len(lanes))
    log: list[Logged] = []

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
                apply_update(spec, State(step, params[own], some), total, sums, lr, span)
            if lane == 0:
                log.append(Logged(step, sums))
            meet()

    def differentiated(lane: int, step: int) -> Gradient:
        epoch, within = spec.order.place(step)
        pieces = spec.order.pieces(epoch, within, lanes[lane])
        if not pieces:
            scratch[lane][...] = 0
            return Gradient(scratch[lane], ())
        batch = draw(spec.order, epoch, pieces, [at[p.stream, p.chunk] for p in pieces])
        row, named = first_row(spec, step, lanes[lane]), (weights, outs[lane])
        return differentiate(spec, params, batch, step, row, scratch[lane], named)

    run_in_threads(len(lanes), train)
    return Lane(State(state.step + len(rates), params, slots, (*state.log, *log)))


def _summed(values: Sequence[Any], fan_in: int, add: Callable[[Any, Any], Any]) -> Any:
    """The sum of what lanes have, in the order of a tree; `add` may change its first argument."""
    for nodes in levels(len(values), fan_in):
        values = [reduce(add, (values[i] for i in node.inputs)) for node in nodes]
    return reduce(add, values)


def _apart(spec: Spec, lanes: int) -> list[Span]:
    """The parameters that each thread updates; all of them in one where they must be seen together."""
    (place,) = spec.partition.places
    alone = not spec.optimizer.elementwise or spec.clip.norm is not None
    return shard_spans(place, 0, 1 if alone else lanes)
