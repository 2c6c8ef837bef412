"""Tasks that round gradients to float16, and keep the remainder of rounding for the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.layout.compression import REMAINDER
from daskpar.layout.partition import Span
from daskpar.tasks.moves import pick_gradient
from daskpar.tasks.state_file import StateFile, read_slots
from daskpar.tasks.step import extents
from daskpar.tasks.types import Gradient, Lane, Rounded, Spec


def compress_gradient(
    spec: Spec, span: Span | None, value: Any, which: int, start: int, stop: int, before: Gradient | None
) -> Rounded:
    """Round elements `start` to `stop` of a gradient to float16, with the remainder of the step before.

    Sums for running statistics are no gradients and are not rounded.

    Args:
        spec: The run.
        span: Parameters of the gradient; None for the whole model's.
        value: Value of the task that computed the gradient.
        which: Number of the gradient in that value.
        start: First element.
        stop: Element behind the last.
        before: Remainder of the step before, or None.
    """
    gradient, exact = _picked(spec, span, value, which, start, stop)
    rest = None if before is None else before.buffer
    half, scale = kernels(gradient.buffer).to_half(gradient.buffer, rest)
    return Rounded(half, scale, exact, gradient.sums, gradient.start, spec.precision)


def error_feedback(
    spec: Spec, span: Span | None, value: Any, which: int, start: int, stop: int, before: Gradient | None
) -> Gradient:
    """Return the remainder of the rounding by `compress_gradient`, whose arguments are the same."""
    gradient, _ = _picked(spec, span, value, which, start, stop)
    rest = None if before is None else before.buffer
    return Gradient(kernels(gradient.buffer).left_by_half(gradient.buffer, rest), (), gradient.start)


def save_remainders(
    spec: Spec, span: Span | None, names: Sequence[str], slots: Sequence[str], owner: Lane, *kept: Gradient
) -> Lane:
    """Store remainders: return a state with the remainders `kept` among its slots.

    Args:
        spec: The run.
        span: Parameters of the state; None for the whole model's.
        names: Names of the slots of all owners.
        slots: Name of the slot of each remainder of this owner.
        owner: The state.
        kept: The remainders.
    """
    state = owner.state
    buffers = {name: array_module(state.params).zeros_like(state.params) for name in names}
    offset = 0 if span is None else span.start
    for name, remainder in zip(slots, kept, strict=True):
        start = remainder.start - offset
        buffers[name][start : start + remainder.buffer.shape[0]] = remainder.buffer
    return Lane(state._replace(slots=state.slots | buffers))


def load_remainder(
    spec: Spec,
    span: Span | None,
    start: int,
    stop: int,
    path: StateFile,
    prefix: str,
    name: str,
    names: Sequence[str],
) -> Gradient | None:
    """Load a remainder from slot `name` of a file: elements `start` to `stop`; None without such a slot.

    `names` are the slots of the tree of this run. Remainders of other places are added to the first slot.
    `prefix` is the beginning of the names in the file.
    """
    slots = read_slots(spec, path, REMAINDER, prefix)
    wanted = [slots.pop(name)] if name in slots else []
    if name == names[0]:
        wanted += [buffer for other, buffer in slots.items() if other not in names]
    if not wanted:
        return None
    total: Array = sum(wanted[1:], wanted[0])
    if span is not None:
        place = spec.partition.places[span.place]
        total = place.take(spec.table, total, spec.xp.zeros(place.table.size, dtype=spec.precision))
    return Gradient(total[start:stop].copy(), (), start)


def _picked(
    spec: Spec, span: Span | None, value: Any, which: int, start: int, stop: int
) -> tuple[Gradient, tuple[tuple[int, Array], ...]]:
    """Return elements of a gradient to round, and those that stay exact, with their places.

    The gradient of frozen parameters is set to zero, so that it does not change the scale.
    """
    gradient = pick_gradient(value, which, start, stop)
    buffer, table = gradient.buffer, spec.table_of(span)
    statistics = extents(table.statistics, gradient.start, len(buffer))
    exact = tuple((a, buffer[a:b].copy()) for a, b in statistics)
    zeros = statistics + extents(table.frozen, gradient.start, len(buffer))
    if zeros:
        buffer = buffer.copy()
        for a, b in zeros:
            buffer[a:b] = 0
    return gradient._replace(buffer=buffer), exact
