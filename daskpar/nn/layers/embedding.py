"""Embeddings: vectors for words, or for other integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.partition_rules import ALONE, Positions, Width
from daskpar.registry import register


@register("embedding")
@dataclass(frozen=True)
class Embedding(Layer):
    """Embedding: a table with one learned vector for each word. It returns row i for the integer i.

    Args:
        words: Size of the vocabulary: inputs are integers from 0 to words − 1. None: the number of characters
            of a text, or one more than the largest number in the data. Default: None.
        features: Length of a vector. It must be given.
        padding: Integer that marks padding. Its positions are masked: recurrent layers and attention skip
            them. Default: None.
        init_weight: Initialiser of the vectors: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".

    Shape:
        - Input: (rows, ...), integers.
        - Output: (rows, ..., features).

    Parameters:
        - weight: (words, features).

    Raises:
        InputError: `features` is missing, or `padding` is not below `words`.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Embedding
        >>> layer = Embedding(words=3, features=2)
        >>> params = {"weight": np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]])}
        >>> y, _ = layer.forward(params, np.array([[2, 1]]), Context())
        >>> y
        array([[[ 2., 20.],
                [ 1., 10.]]])

    Reference:
        Bengio et al. 2003, "A neural probabilistic language model".
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
            below = "" if self.words is None else f" and below words={self.words}"
            raise InputError(f"{self.kind}.padding={self.padding} must be at least 0{below}")

    def open_sizes(self) -> dict[str, str]:
        return {"words": "words"} if self.words is None else {}

    @property
    def _words(self) -> int:
        if self.words is None:
            raise InputError(f"{self.kind}.words is not set, and the data do not determine it; give a number")
        return self.words

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        size = self._words, self.features
        return {"weight": initialiser(self.init_weight)(rng, size, *size)}, (*in_shape, self.features)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        return params["weight"][x], x

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return None, {"weight": kernels(dy).scatter_rows(saved, dy, self._words)}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Return the mask of sequences (rows, positions). Inputs of other shapes have none."""
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
    """An embedding of the words from `first` on. Other words, which other parts hold, return zeros."""

    first: int = 0

    def __post_init__(self) -> None:
        pass  # `padding` may be a word of another part

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
