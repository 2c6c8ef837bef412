"""Multi-head attention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.layers.ring_attention import RingAttention
from daskpar.nn.partition_rules import Positions, Width
from daskpar.nn.rotary import turn
from daskpar.registry import register


@register("multi_head_attention")
@dataclass(frozen=True)
class MultiHeadAttention(Layer):
    """Multi-head self-attention: each position reads a weighted mean of the values of all positions.

    Masked positions have no weight.

    Args:
        heads: Number of heads. It must divide the features.
        causal: A position sees only itself and the positions before it. Default: False.
        rotary: Encode positions by rotating queries and keys (RoPE). It needs an even number of features in a
            head. Default: False.
        dropout: Probability with which an attention weight is dropped while training. Default: 0.0.
        bias: Add learned biases to the two linear maps. Default: True.
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".

    Shape:
        - Input: (rows, positions, features).
        - Output: the same.

    Parameters:
        - qkv: (features, 3, features), for queries, keys and values. The features of a head are neighbours.
        - qkv_bias: (3, features).
        - out: (features, features).
        - out_bias: (features,).

    Raises:
        InputError: The input is no sequence, or `heads` does not divide its features.

    Example:
        With equal weights, each position returns the mean of the positions up to it:

        >>> import numpy as np
        >>> from daskpar import Context, MultiHeadAttention
        >>> layer = MultiHeadAttention(heads=1, causal=True, bias=False)
        >>> params = {"qkv": np.array([[[0.0], [0.0], [1.0]]]), "out": np.array([[1.0]])}
        >>> y, _ = layer.forward(params, np.array([[[1.0], [3.0], [5.0]]]), Context())
        >>> y.tolist()
        [[[1.0], [2.0], [3.0]]]

    Reference:
        Vaswani et al. 2017, "Attention is all you need", section 3.2. https://arxiv.org/abs/1706.03762
        Su et al. 2021, "RoFormer: enhanced transformer with rotary position embedding", equation 34.
        https://arxiv.org/abs/2104.09864
    """

    heads: int
    causal: bool = False
    rotary: bool = False
    dropout: float = 0.0
    bias: bool = True
    init_weight: str = "normal"

    def __post_init__(self) -> None:
        require_positive(self.kind, heads=self.heads)
        initialiser(self.init_weight)
        _ = self._dropout

    @cached_property
    def _dropout(self) -> Dropout:
        return Dropout(self.dropout)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 2:
            raise InputError(
                f"{self.kind}: expected sequences (positions, features), got shape {in_shape}; "
                "put an embedding before it"
            )
        features = in_shape[1]
        if features % self.heads:
            raise InputError(
                f"{self.kind}: heads={self.heads} does not divide the {features} features of {in_shape}"
            )
        if self.rotary and features // self.heads % 2:
            raise InputError(
                f"{self.kind}: rotary needs an even number of features a head, there are "
                f"{features // self.heads}"
            )
        make = initialiser(self.init_weight)
        params = {
            "qkv": make(rng, (features, 3, features), features, features),
            "out": make(rng, (features, features), features, features),
        }
        if self.bias:
            params |= {"qkv_bias": np.zeros((3, features)), "out_bias": np.zeros(features)}
        return params, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, ...]]:
        rows, positions, features = x.shape
        product = kernels(x).product
        bias = params["qkv_bias"].reshape(-1) if self.bias else None
        z = product(x.reshape(-1, features), params["qkv"].reshape(features, -1), bias=bias)
        size = self._size(params)
        z = z.reshape(rows, positions, 3, params["qkv"].shape[2] // size, size)
        if self.rotary:
            turn(z, False)
        drop = self._dropout.drawn((rows, z.shape[3], positions, positions), x, ctx)
        weights, merged = kernels(x).attention(z, 1 / math.sqrt(size), self.causal, ctx.mask, drop)
        y = product(merged.reshape(-1, merged.shape[-1]), params["out"], bias=params.get("out_bias"))
        return y.reshape(x.shape), (x, z, weights, drop, merged)

    def backward(
        self, params: Params, saved: tuple[Array, ...], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        xp, product = array_module(dy), kernels(dy).product
        x, z, weights, drop, merged = saved
        rows, positions, features = x.shape
        flat = dy.reshape(-1, features)
        grads = {"out": product(merged.reshape(-1, merged.shape[-1]).T, flat, out=ctx.space("out"))}
        d_merged = product(flat, params["out"].T).reshape(merged.shape)
        factor = 1 / math.sqrt(self._size(params))
        dz = kernels(dy).attention_backward(z, weights, d_merged, factor, self.causal, drop)
        if self.rotary:
            turn(dz, True)
        dz = dz.reshape(rows * positions, math.prod(dz.shape[2:]))
        space = ctx.space("qkv")
        into = None if space is None else space.reshape(features, -1)
        weight = product(x.reshape(-1, features).T, dz, out=into)
        grads["qkv"] = weight.reshape(params["qkv"].shape) if space is None else space
        if self.bias:
            grads["qkv_bias"] = xp.sum(dz, axis=0).reshape(3, -1)
            grads["out_bias"] = xp.sum(flat, axis=0, out=ctx.space("out_bias"))
        if not ctx.input_gradient:
            return None, grads
        return product(dz, params["qkv"].reshape(features, -1).T).reshape(x.shape), grads

    def _size(self, params: Params) -> int:
        """Return the features of a head. A part of a split layer holds some of the heads."""
        return params["out"].shape[1] // self.heads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        positions, features = in_shape
        return 8 * positions * features * features + 4 * positions * positions * features

    def width(self) -> Width | None:
        """Return the split by heads.

        With dropout there is none, because its draws depend on the number of the head.
        """
        axes = (("qkv", 2), ("qkv_bias", 1), ("out", 0))
        return None if self.dropout else Width("heads", axes, True, ("out_bias",), self.heads)

    def positions(self) -> Positions | None:
        return Positions(ring=True, causal=self.causal)

    def share(self, start: int, stop: int, length: int) -> Layer:
        drop = self._dropout
        return RingAttention(self.heads, self.causal, self.rotary, drop, self.bias, start, stop, length)
