"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.backend.array import Array
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.optim.optimizer import Optimizer, Slots, Tensors, decay_into
from daskpar.registry import register


@register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """v <- momentum·v + g; p <- p - lr·v, or p - lr·(g + momentum·v) with `nesterov`.

    As PyTorch has it (Sutskever et al. 2013 put lr inside v). `weight_decay` adds weight_decay·p to g.
    """

    lr: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise InputError("sgd.nesterov needs a momentum, e.g. `sgd: {momentum: 0.9, nesterov: true}`")

    def _slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def _in_place(
        self, params: Array, grads: Array, slots: Slots, step: int, lr: float, tensors: Tensors
    ) -> None:
        decay_into(grads, params, self.weight_decay, tensors)
        if not self.momentum:
            kernels(params).sgd_update(params, grads, lr)
            return
        v = slots["momentum"]
        kernels(params).momentum_update(params, grads, v, lr, self.momentum, self.nesterov)
