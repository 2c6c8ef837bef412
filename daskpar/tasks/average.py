"""Tasks that average the parameters of replicas."""

from __future__ import annotations

from collections.abc import Sequence

from daskpar.backend.array import Array
from daskpar.layout.partition import Span
from daskpar.optim.optimizer import update_groups
from daskpar.tasks.step import extents, merged
from daskpar.tasks.types import Lane, Spec, State


def begin_outer(spec: Spec, owner: Lane) -> Lane:
    """Begin the outer optimizer: from a state, return its parameters and the optimizer's initial slots."""
    params = owner.state.params
    return Lane(State(owner.state.step, params, spec.outer.init(params)))


def add_parameters(*owners: Lane) -> Lane:
    """Add the parameters of several replicas, a node of a tree; return their sum."""
    return Lane(State(owners[0].state.step, _sum([owner.state.params for owner in owners]), {}))


def average(
    spec: Spec, span: Span | None, count: int, rounds: int, anchor: Lane | None, *owners: Lane
) -> Lane:
    """Average parameters: return the mean over `count` replicas, whose sum is that of `owners`.

    With an outer optimizer, `anchor` minus the mean is its gradient, where `anchor` is the last average. The
    optimizer has made `rounds` steps before (Douillard et al. 2023, "DiLoCo", algorithm 1).
    """
    mean = _sum([owner.state.params for owner in owners]) * (1 / count)
    step = owners[0].state.step
    if anchor is None:
        return Lane(State(step, mean, {}))
    before, outer = anchor.state.params, spec.outer
    slots = {name: slot.copy() for name, slot in anchor.state.slots.items()}
    tensors = spec.tensors_of(span)
    if tensors.groups is not None:  # replicas have applied these rates already
        tensors = tensors._replace(groups=tuple((a, b, 1.0) for a, b, _ in tensors.groups))
    after = update_groups(outer, before.copy(), before - mean, slots, rounds, outer.lr, tensors)
    return Lane(State(step, *after))


def load_average(owner: Lane, average: Lane) -> Lane:
    """Load an average: return a replica's state with the averaged parameters and its own slots."""
    return Lane(owner.state._replace(params=average.state.params))


def load_trained_average(spec: Spec, span: Span | None, owner: Lane, average: Lane) -> Lane:
    """Load an average as `load_average` does, except for frozen parameters: a mean may change their bits."""
    return Lane(owner.state._replace(params=_frozen_of(spec, span, owner, average.state.params)))


def _frozen_of(spec: Spec, span: Span | None, owner: Lane, params: Array) -> Array:
    """Return a copy of `params` with the frozen parameters of an `owner` of `span`."""
    start = 0 if span is None else span.start
    kept = params.copy()
    for first, stop in extents(spec.table_of(span).frozen, start, len(params)):
        kept[first:stop] = owner.state.params[first:stop]
    return kept


def gather_replicas(spec: Spec, replicas: int, *owners: Lane) -> Lane:
    """Gather the states of all replicas: return their mean, with each state among its slots.

    The mean is evaluated. A saved run goes on from the slots, which include the state of the outer optimizer.
    """
    each = [owner.state for owner in owners[:replicas]]
    share = 1 / replicas
    slots = {name: _sum([state.slots[name] for state in each]) * share for name in each[0].slots}
    for number, state in enumerate(each):
        slots |= _named(f"replica-{number}", state)
    for owner in owners[replicas:]:
        slots |= _named("outer", owner.state)
    mean = _sum([state.params for state in each]) * share
    if spec.table.frozen:
        mean = _frozen_of(spec, None, owners[0], mean)
    return Lane(State(each[0].step, mean, slots, merged(owners[:replicas])))


def _named(part: str, state: State) -> dict[str, Array]:
    return {f"{part}/params": state.params} | {f"{part}/{name}": v for name, v in state.slots.items()}


def _sum(arrays: Sequence[Array]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total
