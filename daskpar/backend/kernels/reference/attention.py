"""Attention (Vaswani et al. 2017, sec. 3.2.1): softmax over the keys of each query, and what it weighs."""

from __future__ import annotations

import math
from collections.abc import Callable

from daskpar.backend.array import Array, array_module


def attention(
    z: Array,
    factor: float,
    causal: bool,
    mask: Array | None = None,
    drop: Array | None = None,
    softmax: Callable[..., Array] | None = None,
) -> tuple[Array, Array]:
    """(weights (rows, heads, positions, positions), their sums of values (rows, positions, features)).

    `z` (rows, positions, 3, heads, features of a head): queries, keys and values. `factor`, `causal`, `mask`
    as for `softmax_rows`, for which `softmax` may stand. `drop`: what the weights are multiplied by before
    values are summed.
    """
    q, k, v = (z[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    weights = (softmax or softmax_rows)(q @ k.transpose(0, 1, 3, 2), factor, causal, mask)
    heads = (weights if drop is None else weights * drop) @ v
    return weights, heads.transpose(0, 2, 1, 3).reshape(*z.shape[:2], z.shape[3] * z.shape[4])


def attention_backward(
    z: Array,
    weights: Array,
    dy: Array,
    factor: float,
    causal: bool,
    drop: Array | None = None,
    softmax_back: Callable[..., Array] | None = None,
) -> Array:
    """The gradient of `attention` with respect to `z`, from its weights and the gradient of the sums."""
    rows, positions, _, heads, size = z.shape
    q, k, v = (z[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    d_heads = dy.reshape(rows, positions, heads, size).transpose(0, 2, 1, 3)
    dz = array_module(z).empty(z.shape, dtype=z.dtype)
    kept = weights if drop is None else weights * drop
    dz[:, :, 2] = (kept.transpose(0, 1, 3, 2) @ d_heads).transpose(0, 2, 1, 3)
    d_weights = d_heads @ v.transpose(0, 1, 3, 2)
    if drop is not None:
        d_weights = d_weights * drop
    d_scores = (softmax_back or softmax_backward)(weights, d_weights, factor)
    dz[:, :, 0] = (d_scores @ k).transpose(0, 2, 1, 3)
    dz[:, :, 1] = (d_scores.transpose(0, 1, 3, 2) @ q).transpose(0, 2, 1, 3)
    return dz


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
