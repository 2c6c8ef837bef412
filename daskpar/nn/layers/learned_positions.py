"""Learned vectors for positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import ALONE, Positions
from daskpar.registry import register


@register("learned_positions")
@dataclass(frozen=True)
class LearnedPositions(Layer):
    """Learned position embedding: it adds a learned vector to each position of a sequence.

    Args:
        init_weight: Initialiser of the vectors: "he", "glorot", "lecun", "normal" or "zeros".
            Default: "normal".

    Shape:
        - Input: (rows, positions, features). In prediction, sequences may be shorter than in training.
        - Output: the same.

    Parameters:
        - weight: (positions, features).

    Raises:
        InputError: The input is no sequence.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, LearnedPositions
        >>> params = {"weight": np.array([[0.0], [0.1], [0.2]])}
        >>> y, _ = LearnedPositions().forward(params, np.array([[[5.0], [5.0]]]), Context())
        >>> y.tolist()
        [[[5.0], [5.1]]]

    Reference:
        Gehring et al. 2017, "Convolutional sequence to sequence learning", section 3.1.
        https://arxiv.org/abs/1705.03122
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
    """Learned positions from number `start` on. The table holds the vectors of all positions."""

    start: int = 0

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, int]:
        stop = self.start + x.shape[1]
        return x + params["weight"][self.start : stop], stop

    def backward(self, params: Params, saved: int, dy: Array, ctx: Context) -> tuple[Array, Params]:
        weight = params["weight"]
        grad = array_module(dy).zeros(weight.shape, dtype=dy.dtype)
        grad[self.start : saved] = array_module(dy).sum(dy, axis=0)
        return dy, {"weight": grad}
