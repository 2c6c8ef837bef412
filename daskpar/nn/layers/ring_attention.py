"""Multi-head attention on a share of the positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference import ring
from daskpar.backend.kernels.reference.ring import Softmax
from daskpar.nn.layer import Context, Params
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.ring import Attended, Keys, Ring, Slope
from daskpar.nn.rotary import turn


@dataclass(frozen=True)
class RingAttention(Ring):
    """`MultiHeadAttention` for positions `start` to `stop` of `length`, with the same parameters.

    Args:
        heads: Number of heads.
        causal: A position sees only itself and the positions before it.
        rotary: Rotate queries and keys by their position.
        drop: Dropout of attention weights. Its draws are those of the whole sequence.
        bias: Add learned biases.
        start: First position of the share.
        stop: End of the share.
        length: Number of positions of the whole sequence.
    """

    heads: int
    causal: bool
    rotary: bool
    drop: Dropout
    bias: bool
    start: int
    stop: int
    length: int
    kind: ClassVar[str] = "multi_head_attention"

    def project(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Keys]:
        rows, positions, features = x.shape
        bias = params["qkv_bias"].reshape(-1) if self.bias else None
        z = kernels(x).product(x.reshape(-1, features), params["qkv"].reshape(features, -1), bias=bias)
        size = self._size(params)
        z = z.reshape(rows, positions, 3, params["qkv"].shape[2] // size, size)
        if self.rotary:
            turn(z, False, self.start)
        q, k, v = (_by_head(z[:, :, i]) for i in range(3))
        return q, Keys(k, v, ctx.mask, self.start)

    def attend(self, queries: Array, keys: Keys, before: Softmax | None, ctx: Context) -> Softmax:
        seen, drop = self._seen(queries, keys), self._dropped(queries, keys, ctx)
        return ring.attend(queries, keys.k, keys.v, _factor(queries), seen, drop, before)

    def finish(self, params: Params, softmax: Softmax) -> tuple[Array, Attended]:
        sums, logarithm = ring.attended(softmax)
        merged = _merged(sums)
        flat = merged.reshape(-1, merged.shape[-1])
        y = kernels(flat).product(flat, params["out"], bias=params.get("out_bias"))
        return y.reshape(*merged.shape[:2], y.shape[-1]), Attended(merged, logarithm)

    def begin_backward(self, params: Params, saved: Attended, dy: Array) -> Slope:
        size = self._size(params)
        shape = (*dy.shape[:2], saved.merged.shape[2] // size, size)
        d_merged = kernels(dy).product(dy.reshape(-1, dy.shape[-1]), params["out"].T).reshape(shape)
        delta = (d_merged * saved.merged.reshape(shape)).sum(axis=-1).transpose(0, 2, 1)
        return Slope(_by_head(d_merged), array_module(dy).ascontiguousarray(delta))

    def attend_backward(
        self, queries: Array, keys: Keys, saved: Attended, slope: Slope, ctx: Context
    ) -> tuple[Array, Array, Array]:
        seen, drop = self._seen(queries, keys), self._dropped(queries, keys, ctx)
        return ring.attend_backward(
            queries, keys.k, keys.v, _factor(queries), seen, drop, saved.logarithm, slope.dy, slope.delta
        )

    def finish_backward(
        self,
        params: Params,
        x: Array,
        saved: Attended,
        dy: Array,
        gradients: tuple[Array, Array, Array],
        ctx: Context,
    ) -> tuple[Array | None, Params]:
        xp, product = array_module(dy), kernels(dy).product
        flat, merged = dy.reshape(-1, dy.shape[-1]), saved.merged
        dz = xp.stack([g.transpose(0, 2, 1, 3) for g in gradients], axis=2)
        if self.rotary:
            turn(dz, True, self.start)
        rows, features = x.reshape(-1, x.shape[-1]), x.shape[-1]
        dz = dz.reshape(len(rows), math.prod(dz.shape[2:]))
        grads = {
            "out": product(merged.reshape(-1, merged.shape[-1]).T, flat, out=ctx.space("out")),
            "qkv": product(rows.T, dz).reshape(params["qkv"].shape),
        }
        if self.bias:
            grads["qkv_bias"] = xp.sum(dz, axis=0).reshape(3, -1)
            grads["out_bias"] = xp.sum(flat, axis=0, out=ctx.space("out_bias"))
        if not ctx.input_gradient:
            return None, grads
        return product(dz, params["qkv"].reshape(features, -1).T).reshape(x.shape), grads

    def _size(self, params: Params) -> int:
        """Return the features of a head. A part of a split layer holds some of the heads."""
        return int(params["out"].shape[1]) // self.heads

    def _seen(self, queries: Array, keys: Keys) -> Array | None:
        """Return the mask of the keys that each query sees, or None if it sees all of the block."""
        xp, seen = array_module(queries), None
        stop = keys.start + keys.k.shape[2]
        if self.causal and stop > self.start + 1:
            seen = xp.arange(keys.start, stop)[None, :] <= xp.arange(self.start, self.stop)[:, None]
        if keys.mask is None:
            return seen
        kept = keys.mask[:, None, None, :]
        return kept if seen is None else seen & kept

    def _dropped(self, queries: Array, keys: Keys, ctx: Context) -> Array | None:
        """Return the dropout factors of the weights of a block, part of the draws of the whole sequence."""
        rows, heads, positions, _ = queries.shape
        all_weights = self.length * self.length
        parts = [
            range(head * all_weights + self.start * self.length, head * all_weights + self.stop * self.length)
            for head in range(heads)
        ]
        shape, columns = (rows, heads, positions, self.length), heads * all_weights
        drawn = self.drop.drawn_within(columns, parts, shape, queries, ctx)
        return None if drawn is None else drawn[..., keys.start : keys.start + keys.k.shape[2]]


def _factor(queries: Array) -> float:
    return 1 / math.sqrt(queries.shape[-1])


def _by_head(z: Array) -> Array:
    """Return (rows, positions, heads, features) as contiguous (rows, heads, positions, features)."""
    return array_module(z).ascontiguousarray(z.transpose(0, 2, 1, 3))


def _merged(heads: Array) -> Array:
    """Return (rows, heads, positions, features) as contiguous (rows, positions, all features)."""
    rows, count, positions, size = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(rows, positions, count * size)
