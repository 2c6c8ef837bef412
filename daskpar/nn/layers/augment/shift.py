"""Random shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Params, Shape, require_positive
from daskpar.nn.layers.augment.images import Augmentation, draws, moved
from daskpar.nn.layers.pad import image
from daskpar.registry import register


@register("random_shift")
@dataclass(frozen=True)
class RandomShift(Augmentation):
    """Random shift: move each image by up to `pixels` along both axes while training. Zeros fill the gap.

    Args:
        pixels: Largest shift in pixels; it must be less than the height and the width of an image.

    Shape:
        - Input: (rows, height, width, channels).
        - Output: the same.

    Raises:
        InputError: `pixels` is not positive, or it is too large for the image.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, RandomShift
        >>> x = np.zeros((1, 5, 5, 1))
        >>> x[0, 2, 2] = 1.0  # one bright pixel in the centre
        >>> y, _ = RandomShift(1).forward({}, x, Context(training=True, seed=1))
        >>> np.argwhere(y[0, :, :, 0]).tolist()
        [[1, 1]]
    """

    pixels: int

    def __post_init__(self) -> None:
        require_positive("random_shift", pixels=self.pixels)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, _ = image("random_shift", in_shape)
        if self.pixels >= min(height, width):
            raise InputError(
                f"random_shift.pixels={self.pixels} could shift an image of shape {in_shape} out of "
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
