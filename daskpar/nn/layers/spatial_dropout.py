"""Dropout of whole channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.errors import InputError
from daskpar.nn.layer import Layer, Params, Shape
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.partition_rules import ROW, Window
from daskpar.registry import register


@register("spatial_dropout")
@dataclass(frozen=True)
class SpatialDropout(Dropout):
    """Zeroes each channel of an image, or feature of a sequence, with probability `rate` while training.

    Tompson et al. 2015, sec. 3.2: neighbouring pixels are alike, and dropping one of them hides little. The
    rest is scaled by 1 / (1 - rate). Draws are addressed as those of Dropout are; `rate` is held to the
    nearest 1/65536 below 1.
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) < 2:
            raise InputError(
                f"spatial_dropout: expected images or sequences, got shape {in_shape}; use dropout instead"
            )
        return {}, in_shape

    def _drawn(self, shape: Shape) -> Shape:
        return (shape[0], *(1,) * (len(shape) - 2), shape[-1])

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def share(self, start: int, stop: int, length: int) -> Layer:
        """The same: all positions have one draw."""
        return self
