"""Attention over blocks of keys, one after another, with an online softmax.

Arrays are (rows, heads, positions, features of a head).

    queries   ── attend ──>   Softmax   ── attend ──>   Softmax   ── attended ──>   weighted sums
                 block 0                   block 1

Reference:
    Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
    https://arxiv.org/abs/1805.02867
    Dao 2023, "FlashAttention-2: Faster attention with better parallelism and work partitioning".
    https://arxiv.org/abs/2307.08691
"""

from __future__ import annotations

import math
from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, array_module, pickle_via_host


class Softmax(NamedTuple):
    """State of the softmax of some queries over the keys that they have seen so far.

    Args:
        top: Largest score (rows, heads, queries).
        total: Sum of exp(score - top) (rows, heads, queries).
        sums: Sum of exp(score - top) · value (rows, heads, queries, features).
    """

    top: Array
    total: Array
    sums: Array

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


def attend(
    q: Array,
    k: Array,
    v: Array,
    factor: float,
    seen: Array | None,
    drop: Array | None,
    before: Softmax | None,
) -> Softmax:
    """Return the softmax state of queries after one more block of keys.

    Args:
        q: Queries (rows, heads, queries, features).
        k: Keys (rows, heads, keys, features).
        v: Values (rows, heads, keys, features).
        factor: Factor of the scores.
        seen: True where a query sees a key; broadcasts to (rows, heads, queries, keys). None: everywhere.
        drop: Factors of the weights before values are summed (rows, heads, queries, keys). None: 1.
        before: State after the earlier blocks. None: this is the first block.
    """
    xp = array_module(q)
    scores = _scores(q, k, factor, seen)
    top = xp.max(scores, axis=-1)
    if before is not None:
        top = xp.maximum(top, before.top)
    shift = _finite(top)
    weights = xp.exp(scores - shift[..., None])
    total = xp.sum(weights, axis=-1)
    sums = (weights if drop is None else weights * drop) @ v
    if before is not None:
        scale = xp.exp(before.top - shift)
        total += before.total * scale
        sums += before.sums * scale[..., None]
    return Softmax(top, total, sums)


def attended(softmax: Softmax) -> tuple[Array, Array]:
    """Return the weighted sums of values, and the logarithm of the sum of exponentials of each query.

    The sums are (rows, heads, queries, features), the logarithms (rows, heads, queries). Queries that have
    seen no key have zero sums and an infinite logarithm, which makes all their weights zero.
    """
    xp = array_module(softmax.total)
    none = softmax.total == 0
    total = xp.where(none, softmax.total.dtype.type(1), softmax.total)
    logarithm = xp.where(none, total.dtype.type(math.inf), _finite(softmax.top) + xp.log(total))
    return softmax.sums / total[..., None], logarithm


def attend_backward(
    q: Array,
    k: Array,
    v: Array,
    factor: float,
    seen: Array | None,
    drop: Array | None,
    logarithm: Array,
    dy: Array,
    delta: Array,
) -> tuple[Array, Array, Array]:
    """Return the gradients (dq, dk, dv) of one block of keys.

    `dy` (rows, heads, queries, features) is the gradient of the weighted sums, `logarithm` comes from
    `attended`, and `delta` (rows, heads, queries) is the sum over features of dy · y.
    """
    xp = array_module(q)
    weights = xp.exp(_scores(q, k, factor, seen) - logarithm[..., None])
    d_weights = dy @ v.transpose(0, 1, 3, 2)
    dropped = weights
    if drop is not None:
        d_weights *= drop
        dropped = weights * drop
    dv = dropped.transpose(0, 1, 3, 2) @ dy
    d_scores = weights * (d_weights - delta[..., None]) * factor
    return d_scores @ k, d_scores.transpose(0, 1, 3, 2) @ q, dv


def _scores(q: Array, k: Array, factor: float, seen: Array | None) -> Array:
    scores = (q @ k.transpose(0, 1, 3, 2)) * factor
    return scores if seen is None else array_module(q).where(seen, scores, -math.inf)


def _finite(top: Array) -> Array:
    """Return the largest scores, with zero for queries that have seen no key."""
    return array_module(top).where(top == -math.inf, top.dtype.type(0), top)
