"""The blocks of transformers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError, unknown
from daskpar.nn.container import Container, inline
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Operation, Params, Saved, Shape, require_positive
from daskpar.nn.layers.activations import GELU, ReLU, SiLU
from daskpar.nn.layers.attention import MultiHeadAttention
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.layers.layer_norm import LayerNorm
from daskpar.nn.layers.rms_norm import RMSNorm
from daskpar.nn.layers.sequential import Residual, Sequential
from daskpar.nn.partition_rules import ALONE, ROW, Positions, Width, Window
from daskpar.registry import register

_ACTIVATIONS: dict[str, Layer] = {layer.kind: layer for layer in (GELU(), ReLU(), SiLU())}
_NORMS: dict[str, Layer] = {layer.kind: layer for layer in (LayerNorm(), RMSNorm())}


@register("feed_forward")
@dataclass(frozen=True)
class FeedForward(Layer):
    """Feed-forward block of a transformer: two dense layers with an activation between them.

    Args:
        expansion: Size of the inner layer as a multiple of the features. Default: 4.
        activation: "gelu", "relu" or "silu". Default: "gelu".
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".

    Shape:
        - Input: (rows, ..., features).
        - Output: the same.

    Parameters:
        - up: (features, expansion·features).
        - up_bias: (expansion·features,).
        - down: (expansion·features, features).
        - down_bias: (features,).

    Raises:
        InputError: `expansion` is not positive, or a name is not known.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, FeedForward
        >>> layer = FeedForward(expansion=2, activation="relu")  # below: y = max(x, 0) + max(−x, 0)
        >>> params = {"up": np.array([[1.0, -1.0]]), "up_bias": np.zeros(2)}
        >>> params |= {"down": np.array([[1.0], [1.0]]), "down_bias": np.zeros(1)}
        >>> y, _ = layer.forward(params, np.array([[-3.0], [5.0]]), Context())
        >>> y.tolist()
        [[3.0], [5.0]]

    Reference:
        Vaswani et al. 2017, "Attention is all you need", section 3.3. https://arxiv.org/abs/1706.03762
    """

    expansion: int = 4
    activation: str = "gelu"
    init_weight: str = "normal"

    def __post_init__(self) -> None:
        require_positive(self.kind, expansion=self.expansion)
        initialiser(self.init_weight)
        if self.activation not in _ACTIVATIONS:
            raise unknown("activation", self.activation, _ACTIVATIONS)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if not in_shape:
            raise InputError(f"{self.kind}: expected an axis of features, got single numbers")
        features, wide = in_shape[-1], self.expansion * in_shape[-1]
        make = initialiser(self.init_weight)
        params = {"up": make(rng, (features, wide), features, wide), "up_bias": np.zeros(wide)}
        params |= {"down": make(rng, (wide, features), wide, features), "down_bias": np.zeros(features)}
        return params, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Saved, Array]]:
        product = kernels(x).product
        inner = product(x.reshape(-1, x.shape[-1]), params["up"], bias=params["up_bias"])
        h, saved = _ACTIVATIONS[self.activation].forward({}, inner, ctx)
        y = product(h, params["down"], bias=params["down_bias"])
        return y.reshape(x.shape), (x, saved, h)

    def backward(
        self, params: Params, saved: tuple[Array, Saved, Array], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        xp, product = array_module(dy), kernels(dy).product
        x, inner, h = saved
        flat = dy.reshape(-1, dy.shape[-1])
        d_inner, _ = _ACTIVATIONS[self.activation].backward({}, inner, product(flat, params["down"].T), ctx)
        grads = {
            "up": product(x.reshape(-1, x.shape[-1]).T, d_inner, out=ctx.space("up")),
            "up_bias": xp.sum(d_inner, axis=0, out=ctx.space("up_bias")),
            "down": product(h.T, flat, out=ctx.space("down")),
            "down_bias": xp.sum(flat, axis=0, out=ctx.space("down_bias")),
        }
        dx = product(d_inner, params["up"].T).reshape(x.shape) if ctx.input_gradient else None
        return dx, grads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 4 * self.expansion * in_shape[-1] * math.prod(in_shape)

    def width(self) -> Width | None:
        return Width("columns", (("up", 1), ("up_bias", 0), ("down", 0)), sums=True, once=("down_bias",))

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def positions(self) -> Positions | None:
        return ALONE


@register("transformer_block")
@dataclass(frozen=True)
class TransformerBlock(Container):
    """Transformer block with norms before its two parts, as in GPT-2.

        h = x + dropout(attention(norm(x)))
        y = h + dropout(feed_forward(norm(h)))

    Args:
        heads: Number of heads. It must divide the features.
        causal: A position sees only itself and the positions before it. Default: True.
        rotary: Encode positions by rotating queries and keys (RoPE). Default: False.
        dropout: Probability with which an element is dropped while training: of attention weights, and of the
            output of each part. Default: 0.0.
        expansion: Size of the inner layer of the feed-forward part, as a multiple of the features. Default:
            4.
        activation: Activation of the feed-forward part: "gelu", "relu" or "silu". Default: "gelu".
        norm: "layer_norm" or "rms_norm". Default: "layer_norm".
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".
        remat: Keep only the input of the block for the backward pass, as in `Sequential`. Default: False.

    Shape:
        - Input: (rows, positions, features).
        - Output: the same.

    Parameters:
        - "0": those of the attention, nested as in `Residual`.
        - "1": those of the feed-forward part, nested as in `Residual`.

    Raises:
        InputError: The input is no sequence, `heads` does not divide its features, or a name is not known.

    Example:
        >>> import numpy as np
        >>> from daskpar import ParameterTable, TransformerBlock
        >>> params, shape = TransformerBlock(heads=2).init(np.random.default_rng(0), (8, 16))
        >>> shape, ParameterTable.of(params).count  # 12·16² weights, and 13·16 biases and scales
        ((8, 16), 3280)

    Reference:
        Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3.
    """

    heads: int
    causal: bool = True
    rotary: bool = False
    dropout: float = 0.0
    expansion: int = 4
    activation: str = "gelu"
    norm: str = "layer_norm"
    init_weight: str = "normal"
    remat: bool = False

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise unknown("norm", self.norm, _NORMS)
        _ = self.inner

    @cached_property
    def inner(self) -> Sequential:
        """The two residual blocks in a row."""
        norm = _NORMS[self.norm]
        rest: tuple[Layer, ...] = (Dropout(self.dropout),) if self.dropout else ()
        attention = MultiHeadAttention(
            self.heads, self.causal, self.rotary, self.dropout, init_weight=self.init_weight
        )
        forward = FeedForward(self.expansion, self.activation, self.init_weight)
        return Sequential((Residual((norm, attention, *rest)), Residual((norm, forward, *rest))), self.remat)

    def children(self) -> tuple[Operation, ...]:
        return (inline(self.inner),)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        try:
            return self.inner.init(rng, in_shape)
        except InputError as error:
            raise InputError(f"{self.kind}: {error}") from None
