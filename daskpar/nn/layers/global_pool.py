"""Global average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.moments import summed
from daskpar.nn.partition_rules import EACH, Width
from daskpar.registry import register


@register("global_avg_pool")
@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Global average pooling: the mean of each channel over all pixels or positions.

    Masked positions do not count. If all positions of a row are masked, its mean is zero.

    Shape:
        - Input: (rows, height, width, channels) or (rows, positions, channels).
        - Output: (rows, channels).

    Raises:
        InputError: The input has other axes.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, GlobalAvgPool
        >>> x = np.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 2, 2, 1)
        >>> y, _ = GlobalAvgPool().forward({}, x, Context())
        >>> y
        array([[3.]])

    Reference:
        Lin, Chen and Yan 2014, "Network in network", section 3.2. https://arxiv.org/abs/1312.4400
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) not in (2, 3):
            raise InputError(
                "global_avg_pool: expected images (height, width, channels) or sequences (positions, "
                f"features), got shape {in_shape}; leave it out, or put it before a flatten"
            )
        return {}, in_shape[-1:]

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Shape, Array | None]]:
        if ctx.mask is None:
            return summed(x, 1) * (1 / math.prod(x.shape[1:-1])), (x.shape, None)
        weight = ctx.mask.astype(x.dtype)
        weight /= array_module(x).maximum(weight.sum(axis=1, keepdims=True), 1)
        return summed(x * weight[..., None], 1), (x.shape, weight)

    def backward(
        self, params: Params, saved: tuple[Shape, Array | None], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        shape, weight = saved
        if weight is not None:
            return dy[:, None] * weight[..., None], {}
        each = (dy * (1 / math.prod(shape[1:-1]))).reshape(dy.shape[0], *(1,) * (len(shape) - 2), dy.shape[1])
        return array_module(dy).tile(each, (1, *shape[1:-1], 1)), {}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Return None: the output has no positions."""
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return math.prod(in_shape)

    def width(self) -> Width | None:
        return EACH
