"""Embeddings whose table also computes the output."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from daskpar.backend.array import Array
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.container import Container, inline
from daskpar.nn.layer import Context, Layer, Operation, Params, Place, Shape, frozen
from daskpar.nn.layers.embedding import Embedding
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.partition_rules import ALONE, Positions, Width
from daskpar.nn.parts import freeze_each, written_out
from daskpar.registry import register


@dataclass(frozen=True)
class Unembedding(Layer):
    """Scores of words: `y = x @ weightᵀ`, with the table (words, features) of an embedding.

    Shape:
        - Input: (rows, ..., features).
        - Output: (rows, ..., words).
    """

    words: int
    kind: ClassVar[str] = "unembedding"

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        return {}, (*in_shape[:-1], self.words)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = kernels(x).product(x.reshape(-1, x.shape[-1]), params["weight"].T)
        return y.reshape(*x.shape[:-1], y.shape[-1]), x

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        flat, x = dy.reshape(-1, dy.shape[-1]), saved.reshape(-1, saved.shape[-1])
        product = kernels(dy).product
        weight = product(flat.T, x, out=ctx.space("weight"))
        return product(flat, params["weight"]).reshape(saved.shape), {"weight": weight}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * in_shape[-1] * math.prod(out_shape)

    def width(self) -> Width | None:
        return Width("columns", (("weight", 0),))

    def part(self, index: int, parts: int) -> Layer:
        return replace(self, words=self.words // parts)

    def positions(self) -> Positions | None:
        return ALONE


@register("tied_embedding")
@dataclass(frozen=True)
class TiedEmbedding(Container, Embedding):  # type: ignore[override]
    """Embedding around other layers, with one table for input and output: `y = layers(weight[x]) @ weightᵀ`.

    Args:
        words: Size of the vocabulary. None takes it from the data, as for `Embedding`. Default: None.
        features: Length of a vector. It must be given.
        padding: Integer that marks padding, as for `Embedding`. Default: None.
        init_weight: Initialiser of the table: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".
        layers: Layers between the two uses of the table. They must keep the number of features. They must
            be given. Default: ().

    Shape:
        - Input: (rows, ...), integers.
        - Output: (rows, ..., words), a score for each word.

    Parameters:
        - weight: (words, features).
        - "0", "1", ...: parameters of the layers, nested.

    Raises:
        InputError: `layers` is empty or changes the number of features.

    Example:
        >>> import numpy as np
        >>> from daskpar import TiedEmbedding, TransformerBlock
        >>> model = TiedEmbedding(words=65, features=16, layers=(TransformerBlock(heads=2),))
        >>> params, shape = model.init(np.random.default_rng(0), (8,))
        >>> params["weight"].shape, shape
        ((65, 16), (8, 65))

    Reference:
        Press and Wolf 2017, "Using the output embedding to improve language models".
        https://arxiv.org/abs/1608.05859
    """

    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        Embedding.__post_init__(self)
        object.__setattr__(self, "layers", written_out(self.layers))

    @cached_property
    def _inner(self) -> Sequential:
        return Sequential(self.layers)

    @cached_property
    def _ends(self) -> tuple[Embedding, Unembedding]:
        """The layers before and after the others, which share one table."""
        first = Embedding(self.words, self.features, self.padding, self.init_weight)
        return first, Unembedding(self.words or 0)  # an open size is filled in before it runs

    def children(self) -> tuple[Operation, ...]:
        first, last = (Operation("run", (), end, shallow=True) for end in self._ends)
        between = (inline(self._inner),) if self.layers else ()  # `init` refuses a model without layers
        return first, *between, last

    def freeze(self, places: Set[Place]) -> Self:
        return frozen(self) if () in places else replace(self, layers=freeze_each(self.layers, places))

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        self._inner.refuse_tokens(self.kind)
        outer, inner = rng.spawn(2)
        params, shape = Embedding.init(self, outer, in_shape)
        nested, out_shape = self._inner.init(inner, shape)
        if out_shape[-1:] != (self.features,):
            raise InputError(
                f"{self.kind}: its layers turn {shape} into {out_shape}; their last axis must stay "
                f"{self.features}"
            )
        return params | nested, (*out_shape[:-1], self._words)

    def refuses(self, x: Array) -> str | None:
        return Embedding.refuses(self, x)

    def width(self) -> Width | None:
        return None

    def positions(self) -> Positions | None:
        return None
