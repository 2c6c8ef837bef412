"""Dropout of whole channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.random import uniform16
from daskpar.errors import InputError
from daskpar.nn.cuts import ROW, Window
from daskpar.nn.layer import Context, Layer, Params, Shape


@dataclass(frozen=True)
class SpatialDropout(Layer):
    """Zeroes each channel of an image, or feature of a sequence, with probability `rate` while training.

    Tompson et al. 2015, sec. 3.2: neighbouring pixels are alike, and dropping one of them hides little. The
    rest is scaled by 1 / (1 - rate). Draws are addressed as those of Dropout are; `rate` is held to the
    nearest 1/65536 below 1.
    """

    rate: float
    kind: ClassVar[str] = "spatial_dropout"

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"spatial_dropout.rate={self.rate} must be at least 0 and below 1")

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) < 2:
            raise InputError(
                f"spatial_dropout: expected images or sequences, got shape {in_shape}; use dropout instead"
            )
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        threshold = min(round(self.rate * 65536), 65535)
        if not ctx.training or threshold == 0:
            return x, None
        rows, channels = x.shape[0], x.shape[-1]
        draws = uniform16(ctx.seed, ctx.step, ctx.path, ctx.row, rows, channels)
        keep = array_module(x).asarray(draws >= threshold).reshape(rows, *(1,) * (x.ndim - 2), channels)
        mask = keep.astype(x.dtype)
        mask *= 65536 / (65536 - threshold)
        return x * mask, mask

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy if saved is None else dy * saved), {}

    def window(self, in_shape: Shape) -> Window | None:
        return ROW
