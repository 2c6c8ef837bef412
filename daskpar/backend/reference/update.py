"""Update rules over flat arrays, in place: what the optimizers spend their time in."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module
from daskpar.backend.chunked import chunked


def sgd_update(params: Array, grads: Array, lr: float) -> None:
    """p <- p - lr·g; g is used up."""
    for p, g in chunked(params, grads):
        g *= lr
        p -= g


def momentum_update(
    params: Array, grads: Array, moved: Array, lr: float, momentum: float, nesterov: bool
) -> None:
    """v <- momentum·v + g; p <- p - lr·v, or p - lr·(g + momentum·v) with `nesterov`; `g` is used up."""
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
    """m and s move towards g and g²; p <- p - rate·m / (root·√s + epsilon); `g` is used up."""
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
