"""Cross-entropy of softmax outputs with classes."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def log_softmax(x: Array) -> Array:
    """log(softmax(x)) over the last axis, shifted by the maximum so that nothing overflows."""
    xp = array_module(x)
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    shifted -= xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return shifted


def cross_entropy(
    outputs: Array, classes: Array, smoothing: float, weights: Array | None = None
) -> tuple[float, Array]:
    """(the sum of -Σ goal·log softmax over rows, its gradient) for `outputs` (rows, ..., classes).

    The goal of a row is 1 - smoothing for its class, plus smoothing / classes everywhere. `weights`: (rows,),
    by which the terms of each example are multiplied.
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
