"""Many steps in one task, for steps shorter than a hop: lanes are threads, all is done in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from daskpar.backend.array import array_module
from daskpar.data.chunk import Chunk, draw
from daskpar.graph.partition import Span, shard_spans
from daskpar.graph.spec import Gradient, Lane, Logged, Spec, State
from daskpar.graph.tasks.gradient import add_sums, differentiate, quietly, reduce_gradient
from daskpar.graph.tasks.load import first_row
from daskpar.graph.tasks.step import advance
from daskpar.graph.tree import levels


def train_window(
    spec: Spec,
    rates: Sequence[float],
    lanes: Sequence[range],
    fan_in: int,
    fresh: bool,
    places: Sequence[tuple[int, int]],
    owner: Lane,
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
    spans = _apart(spec, len(lanes))

    @quietly
    def differentiated(lane: int) -> Gradient:
        epoch, within = divmod(state.step, spec.order.steps)
        pieces = spec.order.pieces(epoch, within, lanes[lane])
        if not pieces:
            scratch[lane][...] = 0
            return Gradient(scratch[lane], ())
        batch = draw(spec.order, epoch, pieces, [at[p.stream, p.chunk] for p in pieces])
        row = first_row(spec, state.step, lanes[lane])
        return differentiate(spec, state.params, batch, state.step, row, into=scratch[lane])

    with ThreadPoolExecutor(len(lanes)) if len(lanes) > 1 else nullcontext() as threads:
        side_by_side: Callable[..., Any] = threads.map if threads else map
        for lr in rates:
            gradients = list(side_by_side(differentiated, range(len(lanes))))
            for nodes in levels(len(lanes), fan_in):
                gradients = [reduce_gradient(*(gradients[i] for i in node.inputs)) for node in nodes]
            sums = gradients[0].sums
            for gradient in gradients[1:]:
                sums = add_sums(sums, gradient.sums)

            @quietly
            def updated(
                span: Span, state: State = state, gradients: Any = gradients, sums: Any = sums, lr: float = lr
            ) -> None:
                own = slice(span.start, span.stop)
                total = gradients[0].buffer[own]
                for gradient in gradients[1:]:
                    total += gradient.buffer[own]
                some = {name: value[own] for name, value in state.slots.items()}
                part = State(state.step, state.params[own], some)
                advance(spec, part, total, sums, lr, span if len(spans) > 1 else None)

            list(side_by_side(updated, spans))
            state = State(state.step + 1, state.params, state.slots, (*state.log, Logged(state.step, sums)))
    return Lane(state)


def _apart(spec: Spec, lanes: int) -> list[Span]:
    """What of the parameters each thread updates; all of them in one where they must be seen together."""
    (place,) = spec.partition.places
    alone = not spec.optimizer.elementwise or spec.clip.norm is not None
    return shard_spans(place, 0, 1 if alone else lanes)
