"""Cutout of squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskpar.backend.array import Array, array_module
from daskpar.nn.layer import Context, Params, require_positive
from daskpar.nn.layers.augment.images import Augmentation, draws, within
from daskpar.registry import register


@register("cutout")
@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cutout: set a square around a random pixel of each image to zero while training.

    The square may be partly outside of the image.

    Args:
        size: Height and width of the square in pixels.

    Shape:
        - Input: (rows, height, width, channels).
        - Output: the same.

    Raises:
        InputError: `size` is not positive, or the input is no image.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Cutout
        >>> y, _ = Cutout(1).forward({}, np.ones((1, 4, 4, 1)), Context(training=True))
        >>> int((y == 0).sum())
        1

    Reference:
        DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout",
        section 3.2. https://arxiv.org/abs/1708.04552
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
