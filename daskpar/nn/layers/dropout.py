"""Dropout, drawn from the counter-based random stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.random import uniform16, uniform16_within
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import ALONE, Positions
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
        """The factors of values of a shape, zeros and 1 / (1 - rate), on the device of `like`; None where
        nothing is dropped."""
        if not self._drops(ctx):
            return None
        shape = self._drawn(shape)
        draws = uniform16(ctx.seed, ctx.step, ctx.path, ctx.row, shape[0], math.prod(shape[1:]))
        return self._factors(draws, shape, like)

    def drawn_within(
        self, columns: int, parts: Sequence[range], shape: Shape, like: Array, ctx: Context
    ) -> Array | None:
        """As `drawn`, of some of the `columns` values that a row has in all: those in `parts`, in order."""
        if not self._drops(ctx):
            return None
        draws = uniform16_within(ctx.seed, ctx.step, ctx.path, ctx.row, shape[0], columns, parts)
        return self._factors(draws, shape, like)

    @property
    def _threshold(self) -> int:
        return min(round(self.rate * 65536), 65535)

    def _drops(self, ctx: Context) -> bool:
        return ctx.training and self._threshold > 0

    def _factors(self, draws: np.ndarray, shape: Shape, like: Array) -> Array:
        keep = array_module(like).asarray(draws >= self._threshold).reshape(shape)
        factors = keep.astype(like.dtype)
        factors *= 65536 / (65536 - self._threshold)
        return factors

    def backward(self, params: Params, saved: Array | None, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy if saved is None else dy * saved), {}

    def _drawn(self, shape: Shape) -> Shape:
        """The shape of the mask for rows of a shape."""
        return shape

    def positions(self) -> Positions | None:
        return ALONE

    def share(self, start: int, stop: int, length: int) -> Layer:
        return _DropoutOfShare(self.rate, start, length)


@dataclass(frozen=True)
class _DropoutOfShare(Dropout):
    """Dropout for the positions from `start` on of `length`: the same are dropped as by the whole."""

    start: int = 0
    length: int = 1

    def drawn(self, shape: Shape, like: Array, ctx: Context) -> Array | None:
        each = math.prod(shape[2:])
        share = range(self.start * each, (self.start + shape[1]) * each)
        return self.drawn_within(self.length * each, (share,), shape, like, ctx)
