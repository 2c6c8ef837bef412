"""Tasks that round gradients to half precision, and keep what that leaves out for the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.layout.compression import REMAINDER
from daskpar.layout.partition import Span
from daskpar.tasks.moves import pick_gradient
from daskpar.tasks.state_file import read_slots
from daskpar.tasks.step import extents
from daskpar.tasks.types import Gradient, Lane, Rounded, Spec


def compress_gradient(
    spec: Spec, span: Span | None, value: Any, which: int, start: int, stop: int, before: Gradient | None
) -> Rounded:
    """Elements `start` to `stop` of a gradient in float16, with what the step `before` has left out.

    Sums that running statistics are worked out from are no gradients, and stay as they are.
    """
    gradient, exact = _picked(spec, span, value, which, start, stop)
    rest = None if before is None else before.buffer
    half, scale = kernels(gradient.buffer).to_half(gradient.buffer, rest)
    return Rounded(half, scale, exact, gradient.sums, gradient.start, spec.precision)


def error_feedback(
    spec: Spec, span: Span | None, value: Any, which: int, start: int, stop: int, before: Gradient | None
) -> Gradient:
    """The part of the same gradient that `compress_gradient` leaves out."""
    gradient, _ = _picked(spec, span, value, which, start, stop)
    rest = None if before is None else before.buffer
    return Gradient(kernels(gradient.buffer).left_by_half(gradient.buffer, rest), (), gradient.start)


def save_remainders(
    spec: Spec, span: Span | None, names: Sequence[str], slots: Sequence[str], owner: Lane, *kept: Gradient
) -> Lane:
    """A state with what was left out among its slots: `kept`, each in the slot that `slots` names for it.

    `names`: of all these slots, those of other parts of the state included.
    """
    state = owner.state
    found = {name: array_module(state.params).zeros_like(state.params) for name in names}
    offset = 0 if span is None else span.start
    for name, remainder in zip(slots, kept, strict=True):
        start = remainder.start - offset
        found[name][start : start + remainder.buffer.shape[0]] = remainder.buffer
    return Lane(state._replace(slots=state.slots | found))


def load_remainder(
    spec: Spec,
    span: Span | None,
    start: int,
    stop: int,
    path: str,
    part: str,
    name: str,
    names: Sequence[str],
) -> Gradient | None:
    """The content of slot `name` of a file for elements `start` to `stop`; None where it has no such slots.

    What the file has for places that are no longer in the tree, whose slots are `names`, goes to the first.
    """
    slots = read_slots(spec, path, REMAINDER, part)
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
    """Some elements of a gradient to be rounded, and those that are not to be, with their places.

    The gradient of frozen parameters is zero: it has no say in the scale.
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
