"""Tasks that take a state from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk, draw
from daskpar.errors import NotFiniteError
from daskpar.graph.spec import Gradient, Lane, Spec, State, Sums
from daskpar.graph.tasks.gradient import (
    add_sums,
    differentiate,
    grad_model,
    gradient_of,
    quietly,
    reduce_gradient,
)
from daskpar.graph.tasks.load import first_row
from daskpar.graph.tree import levels
from daskpar.nn.parameters import collect


@quietly
def grad(
    spec: Spec, step: int, streams: range, lr: float, fresh: bool, owner: Lane, count: int, *values: Any
) -> Lane:
    """One lane of one step in one task: take in the gradients of the last step, update, and differentiate.

    `values` are `count` gradients (none at the start of a run) and then the chunks to draw from. Every lane
    does the same update for itself, from the same values in the same order: the same bits everywhere.
    """
    state = update(spec, lr, fresh, owner, *values[:count]).state
    return Lane(state, grad_model(spec, step, streams, Lane(state), *values[count:]))


@quietly
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
    observed = {}
    if spec.table.statistics:
        observed = spec.model.observe(spec.table.views(state.params), spec.table.views(total))
        for start, stop in spec.table.statistics:
            total[start:stop] = 0
    total *= 1 / sums[1]
    spec.penalty.apply(total, state.params, spec.tensors)
    spec.clip.apply(total)
    params, slots = spec.optimizer.update(
        state.params, total, state.slots, state.step, lr, spec.tensors, donate=True
    )
    collect(observed, spec.table.views(params) if observed else {})
    return State(state.step + 1, params, slots, (*state.log, (state.step, sums)))


@quietly
def train_window(
    spec: Spec,
    rates: Sequence[float],
    lanes: Sequence[range],
    fan_in: int,
    places: Sequence[tuple[int, int]],
    owner: Lane,
    *chunks: Chunk,
) -> Lane:
    """Many steps in one task, for short steps: everything in place, lanes side by side as threads.

    `rates`: the learning rate of each step. `lanes`: the streams of each lane; their gradients are added as
    `fan_in` has it. `chunks`: all that the steps draw from, and `places` the (stream, chunk) of each.
    """
    at = dict(zip(places, chunks, strict=True))
    state = owner.state
    params, slots = state.params.copy(), {k: v.copy() for k, v in state.slots.items()}
    state = State(state.step, params, slots)
    scratch = [array_module(params).zeros_like(params) for _ in lanes]

    @quietly
    def lane_gradient(lane: int) -> Gradient:
        epoch, within = divmod(state.step, spec.order.steps)
        pieces = spec.order.pieces(epoch, within, lanes[lane])
        if not pieces:
            scratch[lane][...] = 0
            return Gradient(scratch[lane], ())
        batch = draw(spec.order, epoch, pieces, [at[p.stream, p.chunk] for p in pieces])
        row = first_row(spec, state.step, lanes[lane])
        return differentiate(spec, state.params, batch, state.step, row, into=scratch[lane])

    with ThreadPoolExecutor(len(lanes)) if len(lanes) > 1 else nullcontext() as threads:
        for lr in rates:
            gradients = list((threads.map if threads else map)(lane_gradient, range(len(lanes))))
            for nodes in levels(len(lanes), fan_in):
                gradients = [reduce_gradient(*(gradients[i] for i in node.inputs)) for node in nodes]
            total, sums = gradients[0].buffer, gradients[0].sums
            for gradient in gradients[1:]:
                total += gradient.buffer
                sums = add_sums(sums, gradient.sums)
            state = advance(spec, state, total, sums, lr)
    return Lane(state)


def report(owner: Lane) -> tuple[tuple[int, Sums], ...]:
    """The log of a window: all that the client fetches of it."""
    return owner.state.log
