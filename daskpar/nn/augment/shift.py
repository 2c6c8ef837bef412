"""Random shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.augment.images import Augmentation, draws, moved
from daskpar.nn.layer import Context, Params, Shape, require_positive
from daskpar.nn.pad import image
from daskpar.registry import register


@register("random_shift")
@dataclass(frozen=True)
class RandomShift(Augmentation):
    """Shifts each image while training by −`pixels` to `pixels` along both axes; zeros come in."""

    pixels: int

    def __post_init__(self) -> None:
        require_positive("random_shift", pixels=self.pixels)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, _ = image("random_shift", in_shape)
        if self.pixels >= min(height, width):
            raise InputError(
                f"random_shift.pixels={self.pixels} can shift all of an image of shape {in_shape} out of "
                f"sight; it must be below {min(height, width)}"
            )
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        if not ctx.training:
            return x, None
        top, left = (draw - self.pixels for draw in draws(ctx, x, *(2 * self.pixels + 1,) * 2))
        return moved(x, top, left, *x.shape[1:3]), (top, left)

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        if saved is None:
            return dy, {}
        top, left = saved
        return moved(dy, -top, -left, *dy.shape[1:3]), {}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0
