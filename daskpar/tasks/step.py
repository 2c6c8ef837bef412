"""Tasks that update a state, and gather states and logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.errors import NotFiniteError
from daskpar.layout.partition import Span
from daskpar.nn.layer import Params
from daskpar.nn.parameters import collect, first_not_finite
from daskpar.optim.optimizer import Ranges, update_groups
from daskpar.tasks.gradient import (
    add_gradient,
    add_sums,
    gradient_in,
    ignore_float_errors,
    reduce_gradient,
)
from daskpar.tasks.layer_norms import Measurement, is_measured
from daskpar.tasks.types import Lane, Log, Logged, Spec, State, Sums


def update(spec: Spec, lr: float, fresh: bool, owner: Lane, *values: Any) -> Lane:
    """Update the whole model: apply the gradients of a step to a state; see `update_part`."""
    return update_part(spec, None, lr, fresh, owner, (), None, *values)


@ignore_float_errors
def update_part(
    spec: Spec,
    span: Span | None,
    lr: float,
    fresh: bool,
    owner: Lane,
    sums: Sums,
    norms: Sequence[float] | None,
    *values: Any,
) -> Lane:
    """Update parameters and their slots by the gradients of a step; return the new state.

    Args:
        spec: The run.
        span: Elements of the parameters in the state; None for all.
        lr: Learning rate.
        fresh: True if the log starts again.
        owner: The state.
        sums: Sums of loss and metrics, if the gradients carry none.
        norms: Norms of all parts of the gradient, if it is clipped by its norm; else None.
        values: Values with gradients, of all elements or of some. Without any the state stays as it is.
    """
    state = owner.state._replace(log=()) if fresh else owner.state
    if not values and not sums:
        return Lane(state)
    total, found = total_of(state.params, span, values)
    slots = {name: value.copy() for name, value in state.slots.items()}
    owned = state._replace(params=state.params.copy(), slots=slots)
    norm = None if norms is None else math.hypot(*norms)
    after = apply_update(spec, owned, total, sums or found, lr, span, norm)
    if span is not None and (span.place, span.start) != (0, 0):  # the first owner logs the sums
        after = after._replace(log=(*after.log[:-1], after.log[-1]._replace(sums=())))
    return Lane(after)


def total_of(params: Array, span: Span | None, values: Sequence[Any]) -> tuple[Array, Sums]:
    """Return the sum of gradients in a new buffer, shaped like `params`, and the sum of their sums."""
    gradients = [gradient_in(value) for value in values]
    if gradients and all(g.buffer.shape == params.shape for g in gradients):
        total, sums, _ = reduce_gradient(*gradients)
        return (total if len(gradients) > 1 else total.copy()), sums
    total, sums = array_module(params).zeros_like(params), ()
    offset = span.start if span else 0
    for gradient in gradients:
        start = gradient.start - offset
        part = total[start : start + gradient.buffer.shape[0]]
        sums = add_sums(sums, add_gradient(gradient, part))
    return total, sums


@ignore_float_errors
def measure_norm(spec: Spec, span: Span, owner: Lane, sums: Sums, *values: Any) -> float:
    """Measure the norm of a part of the gradient, with its penalties, for clipping."""
    total, found = total_of(owner.state.params, span, values)
    _prepared(spec, owner.state, total, sums or found, span)
    copied = max(0, spec.partition.places[span.place].copied - span.start)  # counted in branch 0
    size: float = spec.clip.size(total[copied:])
    if not math.isfinite(size):
        raise _not_finite(spec, owner.state, total, span, f"the norm of the gradient is {size}")
    return size


def _prepared(spec: Spec, state: State, total: Array, sums: Sums, span: Span | None) -> Params:
    """Turn sums over examples into a mean with penalties, in place; return new running statistics.

    The gradient of frozen parameters becomes zero.
    """
    if not sums or not sums[1] >= 0:
        raise NotFiniteError(f"step {state.step}: the weights of the batch have no sum")
    table, start = spec.table_of(span), span.start if span else 0
    observed: Params = {}
    statistics = statistics_within(spec, span, len(total))
    if statistics:
        observed = spec.model.observe(table.views(state.params, start), table.views(total, start))
        for first, stop in statistics:
            total[first:stop] = 0
    for first, stop in extents(table.frozen, start, len(total)):
        total[first:stop] = 0
    if sums[1] > 0:  # else no row counts, and the gradient is 0
        total *= 1 / sums[1]
    spec.penalty.apply(total, state.params, spec.tensors_of(span))
    return observed


def statistics_within(spec: Spec, span: Span | None, size: int) -> list[tuple[int, int]]:
    """Return the extents of running statistics among the `size` elements of a span, or of all parameters."""
    start = span.start if span else 0
    ends = spec.table_of(span).statistics
    return [(a - start, b - start) for a, b in ends if start <= a < start + size]


def extents(ranges: Ranges, start: int, size: int) -> list[tuple[int, int]]:
    """Return the parts of ranges among the `size` elements from `start` on, counted from `start`."""
    inside = ((max(a - start, 0), min(b - start, size)) for a, b in ranges)
    return [(a, b) for a, b in inside if a < b]


def _not_finite(spec: Spec, state: State, total: Array, span: Span | None, reason: str) -> NotFiniteError:
    """Return an error with the step, and the parameter whose gradient is not finite."""
    name = first_not_finite(spec.table_of(span), total, span.start if span else 0)
    where = f"{reason}; that of parameter {name} is not finite" if name else reason
    return NotFiniteError(f"step {state.step}: {where}; lower optimizer.lr, or scale the data")


def apply_update(
    spec: Spec,
    state: State,
    total: Array,
    sums: Sums,
    lr: float,
    span: Span | None = None,
    norm: float | None = None,
    measured: bool | None = None,
) -> State:
    """Apply one update in place, and return the new state.

    The caller must own the arrays of `state` and `total`, and must not use them again. `measured` logs the
    norms by layer; None logs them at every `spec.norms_every` steps.
    """
    observed = _prepared(spec, state, total, sums, span)
    due = is_measured(spec, state.step) if measured is None else measured
    measurement = Measurement(spec, span, total, state.params) if due else None
    try:
        spec.clip.apply(total, norm)
    except NotFiniteError as error:
        raise _not_finite(spec, state, total, span, str(error)) from None
    params, slots = update_groups(
        spec.optimizer, state.params, total, state.slots, state.step, lr, spec.tensors_of(span)
    )
    if observed:
        collect(observed, spec.table_of(span).views(params, span.start if span else 0))
    norms = () if measurement is None else measurement.squares(params)
    return State(state.step + 1, params, slots, (*state.log, Logged(state.step, sums, norms=norms)))


def gather_parameters(*shards: Lane) -> Lane:
    """Gather the parameters of a place from all its shards."""
    states = [shard.state for shard in shards]
    params = array_module(states[0].params).concatenate([state.params for state in states])
    return Lane(State(states[0].step, params, {}, states[0].log))


def gather_state(spec: Spec, spans: Sequence[Span], *owners: Lane) -> Lane:
    """Gather the state of the whole model from its owners; `spans` are the elements of each."""
    first, partition = owners[0].state, spec.partition
    xp = array_module(first.params)
    whole = {name: xp.zeros(spec.table.size, dtype=spec.precision) for name in ("", *first.slots)}
    for number, place in enumerate(partition.places):
        states = [o.state for span, o in zip(spans, owners, strict=True) if span.place == number]
        for name, buffer in whole.items():
            shards = [state.slots[name] if name else state.params for state in states]
            place.put(spec.table, xp.concatenate(shards), buffer)
    params = whole.pop("")
    return Lane(State(first.step, params, whole, merged(owners)))


def log_of(owner: Lane) -> Lane:
    """Return a state with its log alone, so that no parameters are sent."""
    return Lane(State(owner.state.step, owner.state.params[:0], {}, owner.state.log))


def report(*owners: Lane) -> Log:
    """Report a window: return its log over all replicas, which is all that the client fetches."""
    return merged(owners)


def merged(owners: Sequence[Lane]) -> Log:
    """Return the sums of several logs of the same steps, step by step: of replicas, and of owners."""
    logs = zip(*(owner.state.log for owner in owners), strict=True)
    return tuple(
        Logged(
            entries[0].step,
            reduce(add_sums, (entry.sums for entry in entries)),
            tuple(stale for entry in entries for stale in entry.staleness),
            reduce(add_sums, (entry.norms for entry in entries)),
        )
        for entries in logs
    )
