"""Update rules of the optimizers, in place on flat arrays (elements,).

Reference:
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2.
    Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.
    https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

from daskpar.backend.array import Array, array_module
from daskpar.backend.chunked import chunked


def sgd_update(params: Array, grads: Array, lr: float) -> None:
    """Update `params` in place: p ← p - lr · g. The contents of `grads` are overwritten."""
    for p, g in chunked(params, grads):
        g *= lr
        p -= g


def momentum_update(
    params: Array, grads: Array, moved: Array, lr: float, momentum: float, nesterov: bool
) -> None:
    """Update `params` and the momentum `moved` in place, and overwrite `grads`.

    v ← momentum · v + g, then p ← p - lr · v, or with `nesterov` p ← p - lr · (g + momentum · v).
    """
    for p, g, v in chunked(params, grads, moved):
        v *= momentum
        v += g
        if nesterov:
            g += momentum * v
            p -= lr * g
        else:
            p -= lr * v


def adam_update(
    params: Array,
    grads: Array,
    mean: Array,
    square: Array,
    rate: float,
    root: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Update `params` and the moments `mean` and `square` in place, and overwrite `grads`.

    m ← beta1 · m + (1 - beta1) · g and s ← beta2 · s + (1 - beta2) · g², then
    p ← p - rate · m / (root · √s + epsilon). `rate` and `root` include the bias corrections.
    """
    xp = array_module(params)
    for p, g, m, s in chunked(params, grads, mean, square):
        m *= beta1
        m += (1 - beta1) * g
        g *= g
        g *= 1 - beta2
        s *= beta2
        s += g
        xp.sqrt(s, out=g)
        g *= root
        g += epsilon
        xp.divide(m, g, out=g)
        g *= rate
        p -= g
