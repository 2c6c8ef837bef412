"""Scaled dot-product attention: softmax over the keys of each query, then a weighted sum of values.

Reference:
    Vaswani et al. 2017, "Attention is all you need", section 3.2.1. https://arxiv.org/abs/1706.03762
"""

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
    """Return the attention weights and the weighted sums of values.

    Args:
        z: Queries, keys and values (rows, positions, 3, heads, features of a head).
        factor: Factor of the scores, usually 1 / √(features of a head).
        causal: Let query i see only keys 0 to i.
        mask: True for keys (rows, keys) that queries may see. None: all keys.
        drop: Factors of the weights (rows, heads, positions, positions), before values are summed. None: 1.
        softmax: Function in place of `softmax_rows`.

    Returns:
        The weights (rows, heads, positions, positions) before `drop`, and the sums (rows, positions,
        heads * features of a head).
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
    """Return the gradient of `attention` with respect to `z`, shaped like `z`.

    `weights` are those that `attention` returned, and `dy` (rows, positions, heads * features of a head) is
    the gradient of its sums.
    """
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
    """Return softmax(factor · scores) over the last axis of (rows, heads, queries, keys).

    With `causal`, query i sees keys 0 to i. `mask` (rows, keys) is true for keys that queries may see. A
    query that sees no key has zero weights.
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
    """Return the gradient of `softmax_rows` with respect to `scores`.

    `weights` are its output, and `dy` the gradient of the output; all have shape (..., keys).
    """
    xp = array_module(dy)
    return weights * (dy - xp.sum(dy * weights, axis=-1, keepdims=True)) * factor
