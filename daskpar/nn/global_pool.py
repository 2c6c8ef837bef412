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
    """The mean of each channel (Lin, Chen and Yan 2014, sec. 3.2).

    (rows, height, width, channels) or (rows, positions, features) -> (rows, channels). Masked positions do
    not count; where all of a row are masked, its mean is zero.
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
        """There are no positions any more."""
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return math.prod(in_shape)

    def width(self) -> Width | None:
        return EACH
