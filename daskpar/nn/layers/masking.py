"""Masks for sequences that are padded with a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import ALONE, Positions
from daskpar.registry import register


@register("masking")
@dataclass(frozen=True)
class Masking(Layer):
    """Mask the positions at which all features equal `value`: later layers treat them as padding.

    Recurrent layers skip masked positions, and attention and means leave them out. The values pass unchanged.
    Positions that are masked already stay masked.

    Args:
        value: Value that marks padding. Default: 0.0.

    Shape:
        - Input: (rows, positions, features).
        - Output: the same.

    Raises:
        InputError: The input is no sequence.

    Example:
        >>> import numpy as np
        >>> from daskpar import Masking
        >>> x = np.array([[[5.0], [7.0], [0.0]]])  # a sequence of two positions and one of padding
        >>> Masking().mask(x, None)
        array([[ True,  True, False]])
    """

    value: float = 0.0

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 2:
            raise InputError(
                f"masking: expected examples of shape (positions, features), got {in_shape}; "
                "put it directly after the input"
            )
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, None]:
        return x, None

    def backward(self, params: Params, saved: None, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy, {}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        kept = (x != self.value).any(axis=2)
        return kept if mask is None else kept & mask

    def positions(self) -> Positions | None:
        return ALONE
