"""Random flips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.nn.augment.images import Augmentation, draws, pixels
from daskpar.nn.layer import Context, Params, Shape
from daskpar.nn.partition_rules import ROW, Window
from daskpar.registry import register


@register("random_flip")
@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """Mirrors every other image at random while training: left to right, upside down, or each by itself."""

    horizontal: bool = True
    vertical: bool = False

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        if not ctx.training or not (self.horizontal or self.vertical):
            return x, None
        down, across = draws(ctx, x, 2, 2)
        places = (
            _mirrored(down * self.vertical, x.shape[1]),
            _mirrored(across * self.horizontal, x.shape[2]),
        )
        return pixels(x, *places), places

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy if saved is None else pixels(dy, *saved)), {}  # a flip undoes itself

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0

    def window(self, in_shape: Shape) -> Window | None:
        return None if self.vertical else ROW


def _mirrored(coin: Array, length: int) -> Array:
    """(rows, length): places from the first to the last, or where the coin shows 1, the other way round."""
    places = array_module(coin).arange(length)
    return places + coin[:, None] * (length - 1 - 2 * places)
