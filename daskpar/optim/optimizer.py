"""The contract of an optimizer: two pure functions on flat arrays.

    init(params)                                     -> slots
    update(params, grads, slots, step, lr, tensors)  -> params, slots

`params` and `grads` are slices of the flat buffer of a stage, `slots` are named arrays of the same length.
Most update rules work element by element, so a shard of any elements can be updated alone. LAMB and LARS work
tensor by tensor, so their shards hold whole tensors:

    flat buffer   | 0.weight ............ | 0.bias | 2.weight ................ | 2.bias |
    by elements   |             shard 0              |             shard 1              |
    by tensors    |            shard 0             |              shard 1               |
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
    """Positions of tensors in a flat array, as half-open ranges of elements.

    Args:
        ranges: (start, stop) of each tensor.
        decayed: (start, stop) of each tensor that weight decay applies to: weights, but neither biases nor
            the scales of normalisation layers.
        groups: (start, stop, factor) of the elements that are trained, each with a factor of the learning
            rate. Frozen tensors are in no group. None trains all elements at one learning rate. Default:
            None.

    Example:
        A weight of six elements, then a bias of two:

        >>> from daskpar import Tensors
        >>> tensors = Tensors(ranges=((0, 6), (6, 8)), decayed=((0, 6),))
        >>> tensors.within(4, 8)
        Tensors(ranges=((0, 2), (2, 4)), decayed=((0, 2),), groups=None)
    """

    ranges: Ranges
    decayed: Ranges
    groups: tuple[tuple[int, int, float], ...] | None = None

    def within(self, start: int, stop: int) -> Tensors:
        """Return the tensors of the slice from `start` to `stop`, at their positions in that slice.

        Tensors that are only partly in the slice are cut off at its ends.
        """
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
    """Base class of optimizers: the hyper-parameters of an update rule, and the rule itself.

    An optimizer holds no arrays. Its state is a dict of slots: flat arrays by name, each as long as the
    parameters, e.g. the momentum.

    To write an optimizer, derive from this class, name the `slots`, and define the update rule:

        _in_place(self, params, grads, slots, step, lr, tensors)

    It overwrites `params` and `slots` and returns nothing. It may overwrite `grads`. The arguments are those
    of `update`. Decorate the class with `@dataclass(frozen=True)` if it has hyper-parameters of its own, and
    with `@register("name")` to use it in a config.

    Args:
        lr: Learning rate. A schedule multiplies it. Default: 0.001.

    Attributes:
        slots: Names of the slots. Default: none.
        elementwise: True if the update of an element depends on that element alone. False if it depends on
            other elements of the same tensor, e.g. on their norm as in LARS. Default: True.

    Raises:
        InputError: `lr` or `epsilon` is not positive. Or `weight_decay`, `momentum`, `beta1`, `beta2` or
            `decay` is not in [0, 1). Subclasses that have these fields need not check them.

    Example:
        Momentum SGD, and one step of it:

        >>> import numpy as np
        >>> from daskpar import Optimizer, Tensors
        >>> class Heavy(Optimizer):
        ...     slots = ("speed",)
        ...     def _in_place(self, params, grads, slots, step, lr, tensors):
        ...         slots["speed"] *= 0.9
        ...         slots["speed"] += grads
        ...         params -= lr * slots["speed"]
        >>> heavy, params = Heavy(), np.ones(2)
        >>> params, slots = heavy.update(params, np.ones(2), heavy.init(params), 0, 0.5, Tensors((), ()))
        >>> params, slots
        (array([0.5, 0.5]), {'speed': array([1., 1.])})

        A Trainer accepts it like any other: `Trainer(model, optimizer=Heavy(lr=0.5))`.
    """

    lr: float = 1e-3
    kind: ClassVar[str] = "optimizer"
    slots: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = True

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
        """Return the slots before the first step: zeros, with the dtype and on the device of `params`.

        Args:
            params: (elements,) flat parameters.
        """
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
        """Return the parameters and the slots after one step. The inputs are not changed.

        Args:
            params: (elements,) flat parameters.
            grads: (elements,) gradient of the mean loss, with the dtype of `params`.
            slots: Arrays (elements,) by name, from `init` or from the step before.
            step: Number of the step, from 0.
            lr: Learning rate of this step.
            tensors: Positions of the tensors in `params`.
            donate: Overwrite `params`, `grads` and `slots` and return them. This allocates no array of their
                size. The caller must not use them afterwards. Default: False.

        Returns:
            (params, slots), as arrays of the same shapes and dtypes.
        """
        if not donate:
            params, grads = params.copy(), grads.copy()
            slots = {name: value.copy() for name, value in slots.items()}
        self._in_place(params, grads, slots, step, lr, tensors)
        return params, slots

    def _slots(self) -> tuple[str, ...]:
        """Return the names of the slots. Override it if they depend on the hyper-parameters."""
        return self.slots

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        """Apply the update rule: overwrite `params` and `slots`.

        `grads` may be overwritten as well. The arguments are those of `update`.
        """
        raise TypeError(f"{type(self).__name__} does not define _in_place")


def update_groups(
    optimizer: Optimizer,
    params: Array,
    grads: Array,
    slots: Slots,
    step: int,
    lr: float,
    tensors: Tensors,
) -> tuple[Array, Slots]:
    """Update parameters in place, group by group, each at its own learning rate.

    `params`, `grads` and `slots` are overwritten. Elements in no group keep their bits, in `params` and in
    `slots`. The arguments are those of `Optimizer.update`.
    """
    if tensors.groups is None:
        return optimizer.update(params, grads, slots, step, lr, tensors, donate=True)
    for start, stop, factor in tensors.groups:
        group = slice(start, stop)
        part, slot_views = params[group], {name: slot[group] for name, slot in slots.items()}
        inside = tensors.within(start, stop)._replace(groups=None)
        after, slots_after = optimizer.update(
            part, grads[group], slot_views, step, lr * factor, inside, donate=True
        )
        for view, value in ((part, after), *((slot_views[name], slots_after[name]) for name in slot_views)):
            if value is not view:
                view[...] = value
    return params, slots


OPTIMIZERS = Table("optimizer", Optimizer, "daskpar.optim")


def decay_into(grads: Array, params: Array, weight_decay: float, tensors: Tensors) -> None:
    """Add the gradient of ½·weight_decay·|params|² to `grads` in place, for the tensors that decay."""
    if weight_decay:
        for start, stop in tensors.decayed:
            for g, p in chunked(grads[start:stop], params[start:stop]):
                g += weight_decay * p


def decay_params(params: Array, rate: float, tensors: Tensors) -> None:
    """Multiply parameters by (1 - rate) in place, for the tensors that decay ("decoupled" decay)."""
    if rate:
        for start, stop in tensors.decayed:
            params[start:stop] *= 1 - rate
