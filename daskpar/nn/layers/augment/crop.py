"""Random crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Params, Shape, require_positive
from daskpar.nn.layers.augment.images import Augmentation, draws, moved
from daskpar.nn.layers.pad import image
from daskpar.registry import register


@register("random_crop")
@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Random crop: a window of pixels at a random place of each image, or the centre when not training.

    Args:
        rows: Height of the crop.
        columns: Width of the crop.
        padding: Zeros around the image on every side, before the crop. Default: 0.

    Shape:
        - Input: (rows, height, width, channels).
        - Output: (rows, `rows`, `columns`, channels).

    Raises:
        InputError: The crop is larger than the padded image, or the padding is larger than the crop.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, RandomCrop
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> y, _ = RandomCrop(2, 2).forward({}, x, Context())  # not training: the centre
        >>> y[0, :, :, 0]
        array([[ 5.,  6.],
               [ 9., 10.]])

    Reference:
        He et al. 2016, "Deep residual learning for image recognition", section 4.2: 32 by 32 pixels with a
        padding of 4 for CIFAR-10. https://arxiv.org/abs/1512.03385
    """

    rows: int
    columns: int
    padding: int = 0

    def __post_init__(self) -> None:
        require_positive("random_crop", rows=self.rows, columns=self.columns)
        if self.padding < 0:
            raise InputError(f"random_crop.padding={self.padding} must be at least 0")
        if self.padding > max(self.rows, self.columns):
            raise InputError(
                f"random_crop.padding={self.padding} could leave crops without any pixel of the image; use "
                f"at most {max(self.rows, self.columns)}"
            )

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, channels = image("random_crop", in_shape)
        for name, wanted, there in (("rows", self.rows, height), ("columns", self.columns, width)):
            if wanted > there + 2 * self.padding:
                raise InputError(
                    f"random_crop.{name}={wanted} is more than the {there + 2 * self.padding} that shape "
                    f"{in_shape} has with padding={self.padding}; use less, or more padding"
                )
        return {}, (self.rows, self.columns, channels)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        spare = (x.shape[1] - self.rows, x.shape[2] - self.columns)
        if not ctx.training and spare == (0, 0):
            return x, None
        if ctx.training:
            below = (s + 2 * self.padding + 1 for s in spare)
            top, left = (draw - self.padding for draw in draws(ctx, x, *below))
        else:
            xp = array_module(x)
            top, left = (xp.full(x.shape[0], s // 2) for s in spare)
        return moved(x, top, left, self.rows, self.columns), (top, left, x.shape[1:3])

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        if saved is None:
            return dy, {}
        top, left, size = saved
        return moved(dy, -top, -left, *size), {}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0
