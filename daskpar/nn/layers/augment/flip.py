"""Random flips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.nn.layer import Context, Params, Shape
from daskpar.nn.layers.augment.images import Augmentation, draws, pixels
from daskpar.nn.partition_rules import ROW, Window
from daskpar.registry import register


@register("random_flip")
@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """Random flip: mirror each image with probability 1/2 while training.

    With both directions, each has a draw of its own.

    Args:
        horizontal: Mirror left to right. Default: True.
        vertical: Mirror upside down. Default: False.

    Shape:
        - Input: (rows, height, width, channels).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, RandomFlip
        >>> x = np.tile([1.0, 2.0, 3.0], 4).reshape(4, 1, 3, 1)  # four images of 1 by 3 pixels
        >>> y, _ = RandomFlip().forward({}, x, Context(training=True))
        >>> y[:, 0, :, 0]
        array([[1., 2., 3.],
               [1., 2., 3.],
               [3., 2., 1.],
               [3., 2., 1.]])
    """

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
    """Return the indices (rows, length) from first to last, or from last to first where the coin shows 1."""
    places = array_module(coin).arange(length)
    return places + coin[:, None] * (length - 1 - 2 * places)
