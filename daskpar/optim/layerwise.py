"""Optimizers that scale the learning rate tensor by tensor, for very large batches: LARS and LAMB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.optim.optimizer import Optimizer, Slots, Tensors
from daskpar.registry import register


def _norm(x: Array) -> Array:
    """Return the norm of an array, as an array without axes on the same device.

    Elements are divided by a power of two first, so that no square overflows or underflows. That changes no
    bit of a norm whose squares do neither.
    """
    xp = array_module(x)
    one = xp.ones((), dtype=x.dtype)
    size = xp.ldexp(one, xp.frexp(xp.abs(x).max())[1] - 1) if x.size else one
    scaled = x / size
    return xp.sqrt(xp.sum(scaled * scaled)) * size


def _trust(size: Array, move: Array) -> Array:
    """Return size / move, as an array without axes on the same device.

    It is 1 where either is zero, and NaN where `move` is infinite. The NaN stops the run with an error.
    """
    xp = array_module(size)
    both = (size > 0) & (move > 0)
    ratio = xp.where(both, size, xp.ones_like(size)) / xp.where(both, move, xp.ones_like(move))
    return xp.where(xp.isinf(move), xp.nan, ratio)


@register("lars")
@dataclass(frozen=True)
class LARS(Optimizer):
    """LARS: momentum SGD whose learning rate is scaled to the norm of each weight.

        r <- trust·|p| / (|g| + weight_decay·|p|)
        v <- momentum·v + lr·r·(g + weight_decay·p)
        p <- p - v

    Biases and the scales of normalisation layers use r = 1 and no weight decay.

    Args:
        lr: Learning rate. Default: 1.0.
        momentum: Factor that `v` keeps of its last value, in [0, 1). Default: 0.9.
        weight_decay: Adds weight_decay·p to the gradient of weights, in [0, 1). Default: 1e-4.
        trust: Trust coefficient: the largest relative change of a weight in a step, at `lr` 1 and without
            momentum. Positive. Default: 0.001.

    Raises:
        InputError: A number is out of its range.

    Example:
        A weight of norm 5 moves by lr·trust·5 = 0.5, against the gradient and whatever its scale:

        >>> import numpy as np
        >>> from daskpar import LARS, Tensors
        >>> weight, gradient = np.array([3.0, 4.0]), np.array([0.0, 100.0])
        >>> lars, tensors = LARS(weight_decay=0.0, trust=0.1), Tensors(ranges=((0, 2),), decayed=((0, 2),))
        >>> lars.update(weight, gradient, lars.init(weight), 0, 1.0, tensors)[0]
        array([3. , 3.5])

    Reference:
        You et al. 2017, "Large batch training of convolutional networks", algorithm 1.
        https://arxiv.org/abs/1708.03888
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
    """LAMB: Adam whose step is scaled to the norm of each weight.

        u <- m' / (sqrt(s') + epsilon) + weight_decay·p        (m' and s' as in Adam)
        p <- p - lr·u·|p| / |u|

    Biases and the scales of normalisation layers use Adam's step without scaling and weight decay.

    Args:
        lr: Learning rate: the relative change of a weight in a step. Default: 0.001.
        beta1: Factor that `m` keeps of its last value, in [0, 1). Default: 0.9.
        beta2: Factor that `s` keeps of its last value, in [0, 1). Default: 0.999.
        epsilon: Added to the denominator, positive. Default: 1e-6.
        weight_decay: Adds weight_decay·p to the step of weights, in [0, 1). Default: 0.01.

    Raises:
        InputError: A number is out of its range.

    Example:
        A weight of norm 5 moves by lr·5 = 0.5:

        >>> import numpy as np
        >>> from daskpar import LAMB, Tensors
        >>> lamb, weight, gradient = LAMB(weight_decay=0.0), np.array([3.0, 4.0]), np.array([0.0, 100.0])
        >>> tensors = Tensors(ranges=((0, 2),), decayed=((0, 2),))
        >>> lamb.update(weight, gradient, lamb.init(weight), 0, 0.1, tensors)[0].round(4)
        array([3. , 3.5])

    Reference:
        You et al. 2020, "Large batch optimization for deep learning: Training BERT in 76 minutes", algorithm
        2. https://arxiv.org/abs/1904.00962
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
