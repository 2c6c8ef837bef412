"""Cutout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.nn.augment.images import Augmentation, draws, within
from daskpar.nn.layer import Context, Params, require_positive
from daskpar.registry import register


@register("cutout")
@dataclass(frozen=True)
class Cutout(Augmentation):
    """Zeroes a square of `size` by `size` pixels around a random pixel of each image while training.

    DeVries and Taylor 2017, sec. 3.2: the square may lie partly outside of the image.
    """

    size: int

    def __post_init__(self) -> None:
        require_positive("cutout", size=self.size)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        if not ctx.training:
            return x, None
        holes = []
        for length, draw in zip(x.shape[1:3], draws(ctx, x, *x.shape[1:3]), strict=True):
            start = draw[:, None] - self.size // 2
            holes.append(within(array_module(x).arange(length), start, start + self.size))
        keep = ~(holes[0][:, :, None] & holes[1][:, None, :])[..., None]
        return x * keep, keep

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy if saved is None else dy * saved), {}
