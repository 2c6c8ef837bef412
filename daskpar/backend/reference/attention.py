"""softmax over the keys of each query."""

from __future__ import annotations

import math

from daskpar.backend.array import Array, array_module


def softmax_rows(scores: Array, factor: float, causal: bool, mask: Array | None) -> Array:
    """softmax(factor·scores) over the last axis of (rows, heads, queries, keys).

    With `causal`, query i sees keys 0 to i. `mask` (rows, keys): those not in it are seen by none; a query
    that sees no key gets zeros.
    """
    xp = array_module(scores)
    z = scores * factor
    seen = None
    if causal:
        queries, keys = scores.shape[-2:]
        seen = xp.arange(keys)[None, :] <= xp.arange(queries)[:, None]
    if mask is not None:
        kept = mask[:, None, None, :]
        seen = kept if seen is None else seen & kept
    if seen is None:
        z -= xp.max(z, axis=-1, keepdims=True)
        z = xp.exp(z)
        return z / xp.sum(z, axis=-1, keepdims=True)
    z = xp.where(seen, z, -math.inf)
    top = xp.max(z, axis=-1, keepdims=True)
    z = xp.exp(z - xp.where(top == -math.inf, top.dtype.type(0), top))
    total = xp.sum(z, axis=-1, keepdims=True)
    return z / xp.where(total == 0, total.dtype.type(1), total)


def softmax_backward(weights: Array, dy: Array, factor: float) -> Array:
    """The gradient of `softmax_rows` with respect to `scores`, from its output."""
    xp = array_module(dy)
    return weights * (dy - xp.sum(dy * weights, axis=-1, keepdims=True)) * factor
