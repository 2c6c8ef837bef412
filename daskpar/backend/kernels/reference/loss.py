"""Cross-entropy of softmax outputs and classes, with label smoothing.

Reference:
    Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", section 7.
    https://arxiv.org/abs/1512.00567
"""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def log_softmax(x: Array) -> Array:
    """Return log(softmax(x)) over the last axis, shifted by the maximum so that nothing overflows."""
    xp = array_module(x)
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    shifted -= xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return shifted


def cross_entropy(
    outputs: Array, classes: Array, smoothing: float, weights: Array | None = None
) -> tuple[float, Array]:
    """Return the sum over rows of -Σ target · log softmax(outputs), and its gradient shaped like `outputs`.

    Args:
        outputs: Outputs before the softmax (rows, ..., classes).
        classes: Class numbers (rows, ...).
        smoothing: Label smoothing from 0 to 1. A target is 1 - smoothing for the class, plus
            smoothing / classes for every class.
        weights: Factors of the terms of each row (rows,). None: 1.
    """
    xp = array_module(outputs)
    count = outputs.shape[-1]
    logp = log_softmax(outputs)
    goal = (classes[..., None] == xp.arange(count)).astype(outputs.dtype)
    if smoothing:
        goal = goal * (1 - smoothing) + smoothing / count
    gradient = xp.exp(logp) - goal
    logp *= goal
    if weights is not None:
        of_rows = weights.reshape(-1, *(1,) * (outputs.ndim - 1))
        logp *= of_rows
        gradient *= of_rows
    return -float(xp.sum(logp)), gradient
