"""The contract of an optimizer: two pure functions on flat slices.

`init(params) -> slots` and `update(params, grads, slots, step, lr, tensors) -> (params, slots)`, where
`params` and `grads` are (slices of) the flat buffer, `slots` are named arrays of the same length, `step`
counts from 0, and `lr` is the learning rate of this step. An update works element by element (LAMB and LARS:
tensor by tensor), so a shard that holds whole elements (whole tensors) updates alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from daskpar.backend.array import Array, array_module
from daskpar.backend.chunked import chunked
from daskpar.errors import InputError
from daskpar.registry import Table
from daskpar.settings import Block

Slots = dict[str, Array]
Ranges = tuple[tuple[int, int], ...]


class Tensors(NamedTuple):
    """The places of tensors in a flat slice, as (start, stop): all, and those that weight decay applies to.

    `groups`: (start, stop, factor) of what is updated, each with a factor of the learning rate; None where
    that is all of the slice, at one rate. Frozen tensors are in none of them.
    """

    ranges: Ranges
    decayed: Ranges
    groups: tuple[tuple[int, int, float], ...] | None = None

    def within(self, start: int, stop: int) -> Tensors:
        """Those of the slice from `start` to `stop`, counted from its beginning; some may be cut off."""
        groups = self.groups
        if groups is not None:
            inside = ((max(a, start) - start, min(b, stop) - start, factor) for a, b, factor in groups)
            groups = tuple(group for group in inside if group[0] < group[1])
        return Tensors(_within(self.ranges, start, stop), _within(self.decayed, start, stop), groups)


def _within(ranges: Ranges, start: int, stop: int) -> Ranges:
    inside = ((max(first, start) - start, min(last, stop) - start) for first, last in ranges)
    return tuple((first, last) for first, last in inside if first < last)


@dataclass(frozen=True)
class Optimizer(Block):
    """Hyper-parameters of an update rule; holds no arrays.

    One of one's own names its `slots`, and overwrites `params` and `slots` in `_in_place`: flat arrays, of
    which `tensors` says where each tensor lies. `grads` may be overwritten, too.

    >>> class Heavy(Optimizer):
    ...     slots = ("speed",)
    ...     def _in_place(self, params, grads, slots, step, lr, tensors):
    ...         slots["speed"] *= 0.9
    ...         slots["speed"] += grads
    ...         params -= lr * slots["speed"]
    >>> import numpy as np
    >>> heavy, params = Heavy(), np.ones(2)
    >>> heavy.update(params, np.ones(2), heavy.init(params), 0, 0.5, Tensors((), ()))[0]
    array([0.5, 0.5])
    """

    lr: float = 1e-3
    kind: ClassVar[str] = "optimizer"
    slots: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = True
    """True where an element's update needs no other element of its tensor."""

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise InputError(f"{self.kind}.lr={self.lr} must be above zero")
        epsilon = getattr(self, "epsilon", 1.0)
        if not epsilon > 0:
            raise InputError(f"{self.kind}.epsilon={epsilon} must be above zero")
        for name in ("weight_decay", "momentum", "beta1", "beta2", "decay"):
            value = getattr(self, name, 0.0)
            if not 0 <= value < 1:
                raise InputError(f"{self.kind}.{name}={value} must be at least 0 and below 1")

    def init(self, params: Array) -> Slots:
        """Slots of zeros, in the dtype and on the device of `params`."""
        xp = array_module(params)
        return {name: xp.zeros_like(params) for name in self._slots()}

    def update(
        self,
        params: Array,
        grads: Array,
        slots: Slots,
        step: int,
        lr: float,
        tensors: Tensors,
        donate: bool = False,
    ) -> tuple[Array, Slots]:
        """Parameters and slots after one step; the inputs are left as they are.

        With `donate` the caller gives `params`, `grads` and `slots` away: they are overwritten, and nothing
        of their size is allocated.
        """
        if not donate:
            params, grads = params.copy(), grads.copy()
            slots = {name: value.copy() for name, value in slots.items()}
        self._in_place(params, grads, slots, step, lr, tensors)
        return params, slots

    def _slots(self) -> tuple[str, ...]:
        return self.slots

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        raise TypeError(f"{type(self).__name__} has no update")


def update_groups(
    optimizer: Optimizer,
    params: Array,
    grads: Array,
    slots: Slots,
    step: int,
    lr: float,
    tensors: Tensors,
) -> tuple[Array, Slots]:
    """`Optimizer.update` in place, group by group, each at its own learning rate.

    The caller gives `params`, `grads` and `slots` away. What is in no group keeps its bits, in `params` and
    in `slots`.
    """
    if tensors.groups is None:
        return optimizer.update(params, grads, slots, step, lr, tensors, donate=True)
    for start, stop, factor in tensors.groups:
        some = slice(start, stop)
        own, kept = params[some], {name: slot[some] for name, slot in slots.items()}
        inside = tensors.within(start, stop)._replace(groups=None)
        after, left = optimizer.update(own, grads[some], kept, step, lr * factor, inside, donate=True)
        for view, value in ((own, after), *((kept[name], left[name]) for name in kept)):
            if value is not view:
                view[...] = value
    return params, slots


OPTIMIZERS = Table("optimizer", Optimizer, "daskpar.optim")


def decay_into(grads: Array, params: Array, weight_decay: float, tensors: Tensors) -> None:
    """Add the gradient of ½·weight_decay·|params|² in place, where weight decay applies."""
    if weight_decay:
        for start, stop in tensors.decayed:
            for g, p in chunked(grads[start:stop], params[start:stop]):
                g += weight_decay * p


def decay_params(params: Array, rate: float, tensors: Tensors) -> None:
    """Shrink parameters in place by (1 - rate), where weight decay applies ("decoupled" decay)."""
    if rate:
        for start, stop in tensors.decayed:
            params[start:stop] *= 1 - rate
