"""Learning rates scaled tensor by tensor, for very large batches: LARS and LAMB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.optim.optimizer import Optimizer, Slots, Tensors
from daskpar.registry import register


def _norm(x: Array) -> Array:
    """The norm; elements are divided by a power of two first, so that no square overflows or vanishes.

    That changes no bit of a norm whose squares do neither. Stays on the device of the array.
    """
    xp = array_module(x)
    one = xp.ones((), dtype=x.dtype)
    size = xp.ldexp(one, xp.frexp(xp.abs(x).max())[1] - 1) if x.size else one
    scaled = x / size
    return xp.sqrt(xp.sum(scaled * scaled)) * size


def _trust(size: Array, move: Array) -> Array:
    """size / move, 1 where either is zero, and NaN where `move` is infinite, so that it is told.

    Stays on the device of the arrays.
    """
    xp = array_module(size)
    both = (size > 0) & (move > 0)
    ratio = xp.where(both, size, xp.ones_like(size)) / xp.where(both, move, xp.ones_like(move))
    return xp.where(xp.isinf(move), xp.nan, ratio)


@register("lars")
@dataclass(frozen=True)
class LARS(Optimizer):
    """You et al. 2017, algorithm 1: momentum SGD, each tensor's rate times trust·|w| / (|g| + decay·|w|).

    Biases and scales of norms (tensors that do not decay) take the plain rate.
    """

    lr: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    trust: float = 1e-3
    elementwise: ClassVar[bool] = False
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.trust > 0:
            raise InputError(f"lars.trust={self.trust} must be above zero")

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        for span in tensors.ranges:
            p, g, v = (a[slice(*span)] for a in (params, grads, slots["momentum"]))
            if span in tensors.decayed:
                size, slope = _norm(p), _norm(g)
                scale = _trust(self.trust * size, (slope + self.weight_decay * size) * (slope > 0))
                g += self.weight_decay * p
                g *= scale
            v *= self.momentum
            v += lr * g
            p -= v


@register("lamb")
@dataclass(frozen=True)
class LAMB(Optimizer):
    """You et al. 2020, algorithm 2: Adam's step plus decay, rescaled to |w| tensor by tensor.

    Biases and scales of norms (tensors that do not decay) take Adam's step as it is.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 1e-2
    elementwise: ClassVar[bool] = False
    slots: ClassVar[tuple[str, ...]] = ("mean", "square_mean")

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        xp = array_module(params)
        for span in tensors.ranges:
            p, g, m, s = (a[slice(*span)] for a in (params, grads, slots["mean"], slots["square_mean"]))
            m *= self.beta1
            m += (1 - self.beta1) * g
            s *= self.beta2
            s += (1 - self.beta2) * (g * g)
            move = (m / (1 - self.beta1 ** (step + 1))) / (
                xp.sqrt(s / (1 - self.beta2 ** (step + 1))) + self.epsilon
            )
            if span in tensors.decayed:
                move += self.weight_decay * p
                move *= _trust(_norm(p), _norm(move))
            p -= lr * move
