"""Learning rates adapted element by element: Adagrad, RMSProp, Adam, AdamW."""

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
    """Duchi et al. 2011: p <- p - lr·g / (sqrt(Σg²) + epsilon)."""

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
    """Tieleman and Hinton 2012, lecture 6.5.

    s <- decay·s + (1 - decay)·g²; p <- p - lr·g/(sqrt(s) + epsilon).
    `momentum` gathers the scaled steps: v <- momentum·v + g/(sqrt(s) + epsilon); p <- p - lr·v.
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
    """Kingma and Ba 2015, algorithm 1. `weight_decay` adds weight_decay·p to g (see AdamW)."""

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
        rate = lr / (1 - self.beta1 ** (step + 1))
        root = 1 / math.sqrt(1 - self.beta2 ** (step + 1))
        how = (rate, root, self.beta1, self.beta2, self.epsilon)
        kernels(params).adam_update(params, grads, slots["mean"], slots["square_mean"], *how)


@register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Loshchilov and Hutter 2019, algorithm 2: Adam with p <- p - lr·weight_decay·p apart from g."""

    weight_decay: float = 1e-2

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        decay_params(params, lr * self.weight_decay, tensors)
        self._moments(params, grads, slots, step, lr)
