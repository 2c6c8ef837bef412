"""Optimizers that adapt the learning rate to each element: Adagrad, RMSProp, Adam, AdamW."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.optim.optimizer import Optimizer, Slots, Tensors, chunked, decay_into, decay_params
from daskpar.registry import register


@register("adagrad")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: divides by the root of the sum of all squared gradients of an element.

        s <- s + g²
        p <- p - lr·g / (sqrt(s) + epsilon)

    Args:
        lr: Learning rate. Default: 0.01.
        epsilon: Added to the denominator, positive. Default: 1e-10.
        weight_decay: Adds weight_decay·p to the gradient of weights, in [0, 1). Default: 0.

    Raises:
        InputError: A number is out of its range.

    Example:
        Steps become smaller, by 1 / sqrt(step + 1) for a constant gradient, and do not depend on its scale:

        >>> import numpy as np
        >>> from daskpar import Adagrad, Tensors
        >>> adagrad, params = Adagrad(lr=1.0), np.zeros(2)
        >>> slots, gradient = adagrad.init(params), np.array([100.0, 0.01])
        >>> for step in range(2):
        ...     params, slots = adagrad.update(params, gradient, slots, step, adagrad.lr, Tensors((), ()))
        ...     print(params.round(3))
        [-1. -1.]
        [-1.707 -1.707]

    Reference:
        Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic optimization",
        figure 1. https://jmlr.org/papers/v12/duchi11a.html
    """

    lr: float = 1e-2
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    slots: ClassVar[tuple[str, ...]] = ("square_sum",)

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        xp = array_module(params)
        decay_into(grads, params, self.weight_decay, tensors)
        for p, g, s in chunked(params, grads, slots["square_sum"]):
            s += g * g
            g *= lr
            g /= xp.sqrt(s) + self.epsilon
            p -= g


@register("rmsprop")
@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp: divides by the root of a moving average of squared gradients.

        s <- decay·s + (1 - decay)·g²
        p <- p - lr·g / (sqrt(s) + epsilon)

    With `momentum`, the second line becomes:

        v <- momentum·v + g / (sqrt(s) + epsilon)
        p <- p - lr·v

    Args:
        lr: Learning rate. Default: 0.01.
        decay: Factor that `s` keeps of its last value, in [0, 1). PyTorch calls it alpha. Default: 0.99.
        epsilon: Added to the denominator, positive. Default: 1e-8.
        momentum: Factor that `v` keeps of its last value, in [0, 1). Default: 0.
        weight_decay: Adds weight_decay·p to the gradient of weights, in [0, 1). Default: 0.

    Raises:
        InputError: A number is out of its range.

    Example:
        The first step is lr / sqrt(1 - decay), whatever the scale of the gradient:

        >>> import numpy as np
        >>> from daskpar import RMSProp, Tensors
        >>> rmsprop, params, gradient = RMSProp(decay=0.75), np.zeros(2), np.array([100.0, -0.01])
        >>> params, slots = rmsprop.update(params, gradient, rmsprop.init(params), 0, 0.1, Tensors((), ()))
        >>> params.round(3)
        array([-0.2,  0.2])

    Reference:
        Tieleman and Hinton 2012, "Neural networks for machine learning", lecture 6.5.
    """

    lr: float = 1e-2
    decay: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def _slots(self) -> tuple[str, ...]:
        return ("square_mean", "momentum") if self.momentum else ("square_mean",)

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        xp = array_module(params)
        decay_into(grads, params, self.weight_decay, tensors)
        for p, g, s, v in chunked(params, grads, slots["square_mean"], slots.get("momentum", grads)):
            s *= self.decay
            s += (1 - self.decay) * (g * g)
            g /= xp.sqrt(s) + self.epsilon
            if self.momentum:
                v *= self.momentum
                v += g
            p -= lr * v  # without momentum, v is g


@register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: moving averages of the gradient and of its square, both corrected for their start at zero.

        m <- beta1·m + (1 - beta1)·g
        s <- beta2·s + (1 - beta2)·g²
        p <- p - lr·m' / (sqrt(s') + epsilon)

    with m' = m / (1 - beta1ᵗ), s' = s / (1 - beta2ᵗ) and t = step + 1. For weight decay that does not pass
    through the averages, use `AdamW`.

    Args:
        lr: Learning rate. Default: 0.001.
        beta1: Factor that `m` keeps of its last value, in [0, 1). Default: 0.9.
        beta2: Factor that `s` keeps of its last value, in [0, 1). Default: 0.999.
        epsilon: Added to the denominator, positive. Default: 1e-8.
        weight_decay: Adds weight_decay·p to the gradient of weights, in [0, 1). Default: 0.

    Raises:
        InputError: A number is out of its range.

    Example:
        The first step moves each parameter by `lr`, whatever the scale of its gradient:

        >>> import numpy as np
        >>> from daskpar import Adam, Tensors
        >>> adam, params, gradient = Adam(), np.ones(2), np.array([100.0, -0.01])
        >>> params, slots = adam.update(params, gradient, adam.init(params), 0, 0.1, Tensors((), ()))
        >>> params.round(3)
        array([0.9, 1.1])

    Reference:
        Kingma and Ba 2015, "Adam: A method for stochastic optimization", algorithm 1.
        https://arxiv.org/abs/1412.6980
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    slots: ClassVar[tuple[str, ...]] = ("mean", "square_mean")

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        decay_into(grads, params, self.weight_decay, tensors)
        self._moments(params, grads, slots, step, lr)

    def _moments(self, params: Array, grads: Array, slots: Slots, step: int, lr: float) -> None:
        """Apply Adam's step in place, without weight decay."""
        rate = lr / (1 - self.beta1 ** (step + 1))
        root = 1 / math.sqrt(1 - self.beta2 ** (step + 1))
        mean, square = slots["mean"], slots["square_mean"]
        kernels(params).adam_update(
            params, grads, mean, square, rate, root, self.beta1, self.beta2, self.epsilon
        )


@register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: weights shrink by lr·weight_decay·p, apart from the gradient.

        p <- p - lr·weight_decay·p
        p <- p - lr·m' / (sqrt(s') + epsilon)        (as in Adam)

    Args:
        lr: Learning rate. Default: 0.001.
        beta1: Factor that `m` keeps of its last value, in [0, 1). Default: 0.9.
        beta2: Factor that `s` keeps of its last value, in [0, 1). Default: 0.999.
        epsilon: Added to the denominator, positive. Default: 1e-8.
        weight_decay: Share of a weight, times `lr`, that is subtracted in a step, in [0, 1). Biases and the
            scales of normalisation layers do not shrink. Default: 0.01.

    Raises:
        InputError: A number is out of its range.

    Example:
        Without a gradient, a weight shrinks by lr·weight_decay = 1 %. A bias does not:

        >>> import numpy as np
        >>> from daskpar import AdamW, Tensors
        >>> adamw, params, gradient = AdamW(weight_decay=0.1), np.ones(2), np.zeros(2)
        >>> weight_and_bias = Tensors(ranges=((0, 1), (1, 2)), decayed=((0, 1),))
        >>> adamw.update(params, gradient, adamw.init(params), 0, 0.1, weight_and_bias)[0]
        array([0.99, 1.  ])

    Reference:
        Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
        https://arxiv.org/abs/1711.05101
    """

    weight_decay: float = 1e-2

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        decay_params(params, lr * self.weight_decay, tensors)
        self._moments(params, grads, slots, step, lr)
