"""Vectors for words, or for whatever else comes as whole numbers."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.container import Container, inline
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Operation, Params, Place, Shape, frozen, require_positive
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.partition_rules import ALONE, Positions, Width
from daskpar.nn.parts import freeze_each, written_out
from daskpar.registry import register


@register("embedding")
@dataclass(frozen=True)
class Embedding(Layer):
    """Row i of a table for the number i: (rows, ...) integers below `words` -> (rows, ..., features).

    `words` may be left out: they are the characters of a text then, or one more than the largest number in
    the data. Positions that hold the number `padding` are masked: recurrent layers and attention skip them.
    Parameters: weight (words, features). Bengio et al. 2003.
    """

    words: int | None = None
    features: int = 0
    padding: int | None = None
    init_weight: str = "normal"
    tokens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.features == 0:
            raise InputError(f"layer {self.kind!r} needs features, e.g. `{self.kind}: {{features: 64}}`")
        require_positive(self.kind, features=self.features)
        if self.words is not None:
            require_positive(self.kind, words=self.words)
        initialiser(self.init_weight)
        if self.padding is not None and not 0 <= self.padding < (self.words or math.inf):
            raise InputError(f"{self.kind}.padding={self.padding} is none of the {self.words} words")

    def open_sizes(self) -> dict[str, str]:
        return {"words": "words"} if self.words is None else {}

    @property
    def _words(self) -> int:
        if self.words is None:
            raise InputError(f"{self.kind}.words is left open, and the data do not say it; give a number")
        return self.words

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        size = self._words, self.features
        return {"weight": initialiser(self.init_weight)(rng, size, *size)}, (*in_shape, self.features)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        return params["weight"][x], x

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return None, {"weight": kernels(dy).scatter_rows(saved, dy, self._words)}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Of sequences (rows, positions); masks of other shapes have no meaning to the layers that follow."""
        return None if self.padding is None or x.ndim != 2 else x != self.padding

    def refuses(self, x: Array) -> str | None:
        low, high = (int(x.min()), int(x.max())) if math.prod(x.shape) else (0, 0)
        if low < 0 or high >= self._words:
            return (
                f"numbers from {low} to {high} for an {self.kind} of {self.words} words; "
                f"expected 0 to {self._words - 1}"
            )
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0

    def width(self) -> Width | None:
        return Width("words", (("weight", 0),), sums=True)

    def part(self, index: int, parts: int) -> Layer:
        words = self._words // parts
        return _SomeWords(words, self.features, self.padding, first=index * words)

    def positions(self) -> Positions | None:
        return ALONE


@dataclass(frozen=True)
class _SomeWords(Embedding):
    """An embedding that knows the words from `first` on; others give zeros, as some other part knows them."""

    first: int = 0

    def __post_init__(self) -> None:
        pass  # `padding` is a number among all words

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Array]]:
        xp = array_module(params["weight"])
        place = x - self.first
        known = (place >= 0) & (place < self._words)
        place = xp.where(known, place, 0)
        return params["weight"][place] * known[..., None], (place, known)

    def backward(
        self, params: Params, saved: tuple[Array, Array], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        place, known = saved
        weight = kernels(dy).scatter_rows(place, dy * known[..., None].astype(dy.dtype), self._words)
        return None, {"weight": weight}


@dataclass(frozen=True)
class Unembedding(Layer):
    """y = x · weightᵀ: (rows, ..., features) -> (rows, ..., words), with the table (words, features) of an
    embedding."""

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
    """An embedding around layers, whose outputs are compared with the same table (Press and Wolf 2017).

    y = layers(weight[x]) · weightᵀ: (rows, ...) integers below `words` -> (rows, ..., words) outputs. The
    layers must keep the number of features; their parameters are nested under "0", "1", ...
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
        """The layers before and after the others, with one table for both."""
        first = Embedding(self.words, self.features, self.padding, self.init_weight)
        return first, Unembedding(self.words or 0)  # left open, it is only looked at

    def children(self) -> tuple[Operation, ...]:
        first, last = (Operation("run", (), end, shallow=True) for end in self._ends)
        between = (inline(self._inner),) if self.layers else ()  # without any it is refused by `init`
        return first, *between, last

    def freeze(self, places: Set[Place]) -> Self:
        return frozen(self) if () in places else replace(self, layers=freeze_each(self.layers, places))

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        self._inner.refuse_tokens(self.kind)
        own, inner = rng.spawn(2)
        params, shape = Embedding.init(self, own, in_shape)
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


@register("learned_positions")
@dataclass(frozen=True)
class LearnedPositions(Layer):
    """x + weight, a vector for each position (Gehring et al. 2017): (rows, positions, features) -> the same.

    Parameters: weight (positions, features).
    """

    init_weight: str = "normal"

    def __post_init__(self) -> None:
        initialiser(self.init_weight)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 2:
            raise InputError(
                f"{self.kind}: expected sequences (positions, features), got shape {in_shape}; "
                "put an embedding before it"
            )
        return {"weight": initialiser(self.init_weight)(rng, in_shape, *in_shape)}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, int]:
        return x + params["weight"][: x.shape[1]], x.shape[1]

    def backward(self, params: Params, saved: int, dy: Array, ctx: Context) -> tuple[Array, Params]:
        weight = params["weight"]
        grad = array_module(dy).zeros(weight.shape, dtype=dy.dtype)
        grad[:saved] = array_module(dy).sum(dy, axis=0)
        return dy, {"weight": grad}

    def positions(self) -> Positions | None:
        return ALONE

    def share(self, start: int, stop: int, length: int) -> Layer:
        return _SomePositions(start=start)


@dataclass(frozen=True)
class _SomePositions(LearnedPositions):
    """Learned positions from number `start` on; the table is that of all."""

    start: int = 0

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, int]:
        stop = self.start + x.shape[1]
        return x + params["weight"][self.start : stop], stop

    def backward(self, params: Params, saved: int, dy: Array, ctx: Context) -> tuple[Array, Params]:
        weight = params["weight"]
        grad = array_module(dy).zeros(weight.shape, dtype=dy.dtype)
        grad[self.start : saved] = array_module(dy).sum(dy, axis=0)
        return dy, {"weight": grad}
