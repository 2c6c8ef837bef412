"""Tasks that move values: they send parts of values to other slots, and join branches into one value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk
from daskpar.nn import moments
from daskpar.tasks.gradient import add_sums, gradient_of
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Sums


def join_forward(sums: bool, before: Chunk | Forward, *branches: Forward) -> Forward:
    """Join the outputs of all branches into one, by a sum or by concatenation.

    `before` is the value that flowed into the branches.
    """
    first, held = branches[0], () if isinstance(before, Chunk) else before.held
    if not sums:
        y = array_module(first.y).concatenate([branch.y for branch in branches], axis=-1)
        return Forward(y, None, first.mask, held)
    return Forward(_sum([branch.y for branch in branches]), None, first.mask, held)


def join_backward(above: Backward, *branches: Backward) -> Backward:
    """Join the gradients of all branches: return the gradient of the value that flowed into them.

    `above` is the gradient that flowed back into the branches.
    """
    gradients = [branch.dx for branch in branches if branch.dx is not None]
    return Backward(_sum(gradients) if gradients else None, (), above.held)


def _sum(arrays: Sequence[Array]) -> Array:
    total = arrays[0] + arrays[1] if len(arrays) > 1 else arrays[0]
    for array in arrays[2:]:
        total += array
    return total


def add_outputs(*branches: Forward | Backward) -> Forward | Backward:
    """Add the outputs of branches, or the gradients of their inputs, a node of a tree; return the sum."""
    first = branches[0]
    if isinstance(first, Forward):
        return Forward(_sum([b.y for b in branches]), None, first.mask)  # type: ignore[union-attr]
    gradients = [b.dx for b in branches if b.dx is not None]  # type: ignore[union-attr]
    return Backward(_sum(gradients) if gradients else None, ())


def send_activation(value: Forward) -> Forward:
    """Send an activation: return the outputs of a forward pass without the saved values."""
    return value._replace(saved=None)


def send_gradient(value: Backward) -> Backward:
    """Send a gradient: return the input gradient of a backward pass without those of parameters."""
    return value._replace(gradients=())


def send_targets(batch: Chunk) -> Chunk:
    """Send targets: return a batch without its examples."""
    return batch._replace(x=batch.x[:0])


def send_parameters(owner: Lane) -> Lane:
    """Send parameters: return a state without the optimizer's slots and the log."""
    return Lane(owner.state._replace(slots={}, log=()))


def pick_gradient(value: Any, index: int, start: int, stop: int) -> Gradient:
    """Pick elements `start` to `stop` of gradient number `index` in the value of a task.

    The elements are counted in the buffer of the place.
    """
    gradient = value.gradients[index] if isinstance(value, Backward) else gradient_of(value)
    offset = gradient.start
    first, last = max(start - offset, 0), max(stop - offset, 0)
    return Gradient(gradient.buffer[first:last], gradient.sums, max(start, offset))


def sums_of(value: Any) -> Sums:
    """Return the sums of loss and metrics that a gradient carries."""
    return gradient_of(value).sums


def reduce_sums(*values: Sums) -> Sums:
    """Add the sums of loss and metrics of lanes, a node of a tree."""
    return reduce(add_sums, values)


def reduce_moments(*values: Any) -> Array:
    """Combine the moments of lanes for a synchronised layer; return those of all rows together."""
    return moments.combine(*map(gathered_by, values))


def reduce_statistics(*values: Any) -> Array:
    """Add the sums of lanes for the backward pass of a synchronised layer, in the order of the lanes."""
    first, *others = map(gathered_by, values)
    return sum(others, first)


def gathered_by(value: Any) -> Any:
    """Return the statistics in the value of a task, or of a node of the tree; None if it has none."""
    return value.sums if isinstance(value, Forward | Backward) else value
