"""Dropout, drawn from the counter-based random stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

from daskpar.backend.array import Array, array_module
from daskpar.backend.random import uniform16
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.registry import register


@register("dropout")
@dataclass(frozen=True)
class Dropout(Layer):
    """Zeroes each element with probability `rate` while training and scales the rest by 1 / (1 - rate).

    Srivastava et al. 2014, in the inverted form. The mask of a row depends on (seed, step, place in the
    network, row of the global batch) and on nothing else; `rate` is held to the nearest 1/65536
    below 1.
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"{self.kind}.rate={self.rate} must be at least 0 and below 1")

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array | None]:
        mask = self.drawn(x.shape, x, ctx)
        return (x, None) if mask is None else (x * mask, mask)

    def drawn(self, shape: Shape, like: Array, ctx: Context) -> Array | None:
        """The factors for values of a shape, zeros and 1 / (1 - rate), on the device of `like`; None
        where nothing is dropped."""
        threshold = min(round(self.rate * 65536), 65535)
        if not ctx.training or threshold == 0:
            return None
        shape = self._drawn(shape)
        draws = uniform16(ctx.seed, ctx.step, ctx.path, ctx.row, shape[0], math.prod(shape[1:]))
        keep = array_module(like).asarray(draws >= threshold).reshape(shape)
        found = keep.astype(like.dtype)
        found *= 65536 / (65536 - threshold)
        return found

    def backward(self, params: Params, saved: Array | None, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy if saved is None else dy * saved), {}

    def _drawn(self, shape: Shape) -> Shape:
        """The shape of the mask for rows of a shape."""
        return shape
