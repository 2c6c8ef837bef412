"""Dropout, drawn from a counter-based random stream."""

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
    """Dropout: set each element to zero with probability `rate`, and scale the others by 1 / (1 − rate).

    It is active in training only. The draws of a row depend on seed, step, place in the network and number of
    the row in the batch, and on nothing else: every layout draws the same.

    Args:
        rate: Probability of zero, at least 0 and below 1. It is rounded to a multiple of 1/65536.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Raises:
        InputError: `rate` is not in [0, 1).

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Dropout
        >>> y, _ = Dropout(0.5).forward({}, np.ones((1, 64)), Context(training=True))
        >>> sorted(set(y.ravel().tolist()))
        [0.0, 2.0]

    Reference:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"{self.kind}.rate={self.rate} must be at least 0 and below 1")

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array | None]:
        mask = self.drawn(x.shape, x, ctx)
        return (x, None) if mask is None else (x * mask, mask)

    def drawn(self, shape: Shape, like: Array, ctx: Context) -> Array | None:
        """Return factors of the given shape, 0 or 1 / (1 − rate), or None if nothing is dropped.

        Args:
            shape: Shape of the values, (rows, ...).
            like: Array with the dtype and the device of the factors.
            ctx: Context of the pass.
        """
        if not self._drops(ctx):
            return None
        shape = self._drawn(shape)
        draws = uniform16(ctx.seed, ctx.step, ctx.path, ctx.row, shape[0], math.prod(shape[1:]))
        return self._factors(draws, shape, like)

    def drawn_within(
        self, columns: int, parts: Sequence[range], shape: Shape, like: Array, ctx: Context
    ) -> Array | None:
        """Return the factors of some columns, the same that `drawn` returns for all columns.

        Args:
            columns: Number of values in a row.
            parts: Columns to draw, in order.
            shape: Shape of the factors.
            like: Array with the dtype and the device of the factors.
            ctx: Context of the pass.
        """
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
        """Return the shape of the draws for values of a shape."""
        return shape

    def positions(self) -> Positions | None:
        return ALONE

    def share(self, start: int, stop: int, length: int) -> Layer:
        return _DropoutOfShare(self.rate, start, length)


@dataclass(frozen=True)
class _DropoutOfShare(Dropout):
    """Dropout of positions from `start` on, of `length` in all: the draws are those of the whole sequence."""

    start: int = 0
    length: int = 1

    def drawn(self, shape: Shape, like: Array, ctx: Context) -> Array | None:
        each = math.prod(shape[2:])
        share = range(self.start * each, (self.start + shape[1]) * each)
        return self.drawn_within(self.length * each, (share,), shape, like, ctx)
