"""Group normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.norm import overflows, sizes
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.batch_norm import last_axis
from daskpar.nn.moments import spread, summed
from daskpar.registry import register


@register("group_norm")
@dataclass(frozen=True)
class GroupNorm(Layer):
    """Group normalisation: each example is normalised alone, in groups of neighbouring channels.

    `y = (x − mean) / √(variance + epsilon) · scale + shift`. Mean and variance are those of all pixels or
    positions of a group. Masked positions do not count. One group is a layer norm over the whole example;
    one group for each channel is an instance norm.

    Args:
        groups: Number of groups. It must divide the channels. Default: 32.
        epsilon: Added to the variance, against division by zero. Default: 1e-5.

    Shape:
        - Input: (rows, ..., channels).
        - Output: the same.

    Parameters:
        - scale, shift: (channels,).

    Raises:
        InputError: `groups` does not divide the channels. The message lists numbers that do.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, GroupNorm
        >>> layer = GroupNorm(groups=2)
        >>> params, _ = layer.init(np.random.default_rng(0), (4,))
        >>> y, _ = layer.forward(params, np.array([[1.0, 3.0, 10.0, 30.0]]), Context())
        >>> y.round(3)
        array([[-1.,  1., -1.,  1.]])

    Reference:
        Wu and He 2018, "Group normalization", equation 7. https://arxiv.org/abs/1803.08494
    """

    groups: int = 32
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        require_positive("group_norm", groups=self.groups, epsilon=self.epsilon)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        channels = last_axis("group_norm", in_shape)
        if channels % self.groups:
            divisors = (n for n in range(1, min(channels, 10_000) + 1) if channels % n == 0)
            fit = ", ".join(map(str, islice(divisors, 20)))
            raise InputError(
                f"group_norm.groups={self.groups} does not divide the {channels} channels of shape "
                f"{in_shape}; use one of {fit}"
            )
        return {"scale": np.ones(channels), "shift": np.zeros(channels)}, in_shape

    def forward(
        self, params: Params, x: Array, ctx: Context
    ) -> tuple[Array, tuple[Array, Array, Array | None]]:
        normal, inverse = self._normal(x, ctx.mask, self.epsilon)
        if overflows(inverse):
            size, epsilon = sizes(inverse, self._largest(x, ctx.mask), self.epsilon)
            normal, inverse = self._normal(x / _spread_rows(size, x), ctx.mask, epsilon)
            inverse /= size
        y = normal * spread(params["scale"], x)
        y += spread(params["shift"], x)
        return y, (normal, inverse, ctx.mask)

    def backward(
        self, params: Params, saved: tuple[Array, Array, Array | None], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        normal, inverse, mask = saved
        xp = array_module(dy)
        of_shift, of_scale = summed(dy, 1), summed(dy * normal, 1)  # (rows, channels)
        grads = {
            "scale": xp.sum(of_scale, axis=0, out=ctx.space("scale")),
            "shift": xp.sum(of_shift, axis=0, out=ctx.space("shift")),
        }
        if not ctx.input_gradient:
            return None, grads
        # the gradient through the variance and the mean
        slope = inverse / self._count(dy, mask)
        through = normal * _spread_rows(slope * self._of_groups(of_scale * params["scale"]), dy)
        through += _spread_rows(slope * self._of_groups(of_shift * params["scale"]), dy)
        if mask is not None:
            through *= mask[..., None]
        dx = dy * _spread_rows(inverse * params["scale"], dy)
        dx -= through
        return dx, grads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 7 * math.prod(out_shape)

    def _normal(self, x: Array, mask: Array | None, epsilon: float | Array) -> tuple[Array, Array]:
        """Return `x` normalised, and 1 / deviation (rows, channels)."""
        count = self._count(x, mask)
        mean = self._of_groups(summed(x if mask is None else x * mask[..., None], 1)) / count
        normal = x - _spread_rows(mean, x)
        squares = normal * normal
        if mask is not None:
            squares *= mask[..., None]
        inverse = 1 / array_module(x).sqrt(self._of_groups(summed(squares, 1)) / count + epsilon)
        normal *= _spread_rows(inverse, x)
        return normal, inverse

    def _largest(self, x: Array, mask: Array | None) -> Array:
        """Return (rows, channels): for each channel, the largest absolute value of its group."""
        xp = array_module(x)
        values = xp.abs(x if mask is None else x * mask[..., None])
        largest = values.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups).max(axis=(1, 3))
        return xp.repeat(largest, x.shape[-1] // self.groups, axis=1)

    def _count(self, x: Array, mask: Array | None) -> Array | int:
        """Return the number of values behind each mean: one number, or (rows, 1)."""
        each = x.shape[-1] // self.groups
        if mask is None:
            return float(math.prod(x.shape[1:-1]) * each)
        return array_module(x).maximum(mask.sum(axis=1, dtype=x.dtype)[:, None] * each, 1)

    def _of_groups(self, values: Array) -> Array:
        """Return (rows, channels): for each channel, the sum over its group."""
        rows, channels = values.shape
        sums = values.reshape(rows, self.groups, channels // self.groups).sum(axis=2)
        return array_module(values).repeat(sums, channels // self.groups, axis=1)


def _spread_rows(values: Array, x: Array) -> Array:
    """Return (rows, channels) in a shape that broadcasts with `x`.

    For images it is repeated over a row of pixels, because long inner loops are faster.
    """
    values = values.reshape(values.shape[0], *(1,) * (x.ndim - 2), values.shape[1])
    return values if x.ndim < 4 else array_module(x).tile(values, (x.shape[-2], 1))
