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
    """Stochastic gradient descent, with momentum if asked for.

    Without momentum:

        p <- p - lr·g

    With momentum, and with `nesterov`:

        v <- momentum·v + g
        p <- p - lr·v
        p <- p - lr·(g + momentum·v)        (nesterov)

    `lr` multiplies `v` as in PyTorch; in Sutskever et al. it is inside `v`.

    Args:
        lr: Learning rate. Default: 0.01.
        momentum: Factor that `v` keeps of its last value, in [0, 1). Default: 0.
        nesterov: Use Nesterov's momentum. Needs a positive `momentum`. Default: False.
        weight_decay: Adds weight_decay·p to the gradient of weights, in [0, 1). Default: 0.

    Raises:
        InputError: `nesterov` without `momentum`, or a number out of its range.

    Example:
        >>> import numpy as np
        >>> from daskpar import SGD, Tensors
        >>> sgd, params = SGD(lr=0.1, momentum=0.5), np.zeros(1)
        >>> slots, gradient = sgd.init(params), np.ones(1)
        >>> for step in range(3):
        ...     params, slots = sgd.update(params, gradient, slots, step, sgd.lr, Tensors((), ()))
        ...     print(params.round(4))
        [-0.1]
        [-0.25]
        [-0.425]

    Reference:
        Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2.
        https://proceedings.mlr.press/v28/sutskever13.html
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
