"""Tasks that move values: what other slots need of them, and branches that become one value."""

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
    """The outputs of all branches, summed or side by side. `before`: what flowed into them."""
    first, held = branches[0], () if isinstance(before, Chunk) else before.held
    if not sums:
        y = array_module(first.y).concatenate([branch.y for branch in branches], axis=-1)
        return Forward(y, None, first.mask, held)
    return Forward(_sum([branch.y for branch in branches]), None, first.mask, held)


def join_backward(above: Backward, *branches: Backward) -> Backward:
    """The gradient of what flowed into all branches. `above`: what flowed back into them."""
    found = [branch.dx for branch in branches if branch.dx is not None]
    return Backward(_sum(found) if found else None, (), above.held)


def _sum(arrays: Sequence[Array]) -> Array:
    total = arrays[0] + arrays[1] if len(arrays) > 1 else arrays[0]
    for array in arrays[2:]:
        total += array
    return total


def add_outputs(*branches: Forward | Backward) -> Forward | Backward:
    """A node of the tree over many branches: the sum of what they put out."""
    first = branches[0]
    if isinstance(first, Forward):
        return Forward(_sum([b.y for b in branches]), None, first.mask)  # type: ignore[union-attr]
    found = [b.dx for b in branches if b.dx is not None]  # type: ignore[union-attr]
    return Backward(_sum(found) if found else None, ())


def send_activation(value: Forward) -> Forward:
    """The part of a forward pass that other workers need: not what it saved."""
    return value._replace(saved=None)


def send_gradient(value: Backward) -> Backward:
    """The part of a backward pass that other workers need: not the gradients of parameters."""
    return value._replace(gradients=())


def send_targets(batch: Chunk) -> Chunk:
    """The part of a batch that the end of a model needs: not the examples."""
    return batch._replace(x=batch.x[:0])


def send_parameters(owner: Lane) -> Lane:
    """The part of a state that other workers need: not the optimizer's."""
    return Lane(owner.state._replace(slots={}, log=()))


def pick_gradient(value: Any, index: int, start: int, stop: int) -> Gradient:
    """Elements `start` to `stop` of a place's buffer, of one of the gradients that a task handed on."""
    gradient = value.gradients[index] if isinstance(value, Backward) else gradient_of(value)
    offset = gradient.start
    first, last = max(start - offset, 0), max(stop - offset, 0)
    return Gradient(gradient.buffer[first:last], gradient.sums, max(start, offset))


def sums_of(value: Any) -> Sums:
    """The sums of loss and metrics that a gradient carries."""
    return gradient_of(value).sums


def reduce_sums(*values: Sums) -> Sums:
    """The sums of loss and metrics over all lanes."""
    return reduce(add_sums, values)


def reduce_moments(*values: Any) -> Array:
    """The moments that lanes have gathered for a layer that shares statistics, as of one."""
    return moments.combine(*map(gathered_by, values))


def reduce_statistics(*values: Any) -> Array:
    """The sum of what lanes have gathered on the way back through such a layer, in the order given."""
    first, *others = map(gathered_by, values)
    return sum(others, first)


def gathered_by(value: Any) -> Any:
    """Return what a lane's task has gathered, or a node of the tree; None where nothing is shared."""
    return value.sums if isinstance(value, Forward | Backward) else value
