"""Attention block by block: queries see one block of keys after the other, the softmax is kept up to date.

Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"; Dao 2023, "FlashAttention-2". Arrays
are (rows, heads, positions, features of a head).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, array_module, pickle_via_host


class Softmax(NamedTuple):
    """The softmax of some queries over the keys they have seen so far.

    `top` (rows, heads, queries): their largest score; `total`: the sum of exp(score - top). `sums` (rows,
    heads, queries, features): that of exp(score - top) · value.
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
    """Let queries see one more block of keys.

    `seen`, which fits (rows, heads, queries, keys), is true where a query sees a key; None: everywhere.
    `drop`: what weights are multiplied by before values are summed. `before`: the blocks seen before.
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
    """(the weighted sums of values, the logarithm of the sum of all exponentials for each query).

    Queries that have seen no key get zeros, and an infinite logarithm, which makes all their weights zero.
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
    """The gradients (dq, dk, dv) of one block, from that of the weighted sums.

    `logarithm`: as `attended` gives it. `delta` (rows, heads, queries): the sum over features of dy · y.
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
    """The largest scores, with zero where no key was seen."""
    return array_module(top).where(top == -math.inf, top.dtype.type(0), top)
