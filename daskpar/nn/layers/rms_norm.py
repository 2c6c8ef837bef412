"""Root mean square normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.norm import overflows, sizes
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.batch_norm import last_axis
from daskpar.nn.moments import spread, summed
from daskpar.nn.partition_rules import ALONE, ROW, Positions, Window
from daskpar.registry import register


@register("rms_norm")
@dataclass(frozen=True)
class RMSNorm(Layer):
    """Root mean square normalisation over the last axis: `y = x / √(mean of x² + epsilon) · scale`.

    Args:
        epsilon: Added to the mean of squares, against division by zero. Default: 1e-6.

    Shape:
        - Input: (rows, ..., features).
        - Output: the same.

    Parameters:
        - scale: (features,).

    Raises:
        InputError: `epsilon` is not positive, or examples are single numbers.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, RMSNorm
        >>> layer = RMSNorm()
        >>> params, _ = layer.init(np.random.default_rng(0), (2,))
        >>> y, _ = layer.forward(params, np.array([[1.0, 7.0]]), Context())  # √((1 + 49) / 2) = 5
        >>> y.round(3)
        array([[0.2, 1.4]])

    Reference:
        Zhang and Sennrich 2019, "Root mean square layer normalization", equation 4.
        https://arxiv.org/abs/1910.07467
    """

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        require_positive("rms_norm", epsilon=self.epsilon)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        return {"scale": np.ones(last_axis("rms_norm", in_shape))}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Array]]:
        normal, inverse = _normal(x, self.epsilon)
        if overflows(inverse):
            size, epsilon = sizes(inverse, array_module(x).abs(x).max(axis=-1, keepdims=True), self.epsilon)
            normal, inverse = _normal(x / size, epsilon)
            inverse /= size
        return normal * spread(params["scale"], x), (normal, inverse)

    def backward(
        self, params: Params, saved: tuple[Array, Array], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        normal, inverse = saved
        product = dy * normal
        grads = {"scale": summed(product)}
        if not ctx.input_gradient:
            return None, grads
        scale = spread(params["scale"], dy)
        product *= scale
        dx = dy * scale
        dx -= normal * _mean(product)
        dx *= inverse
        return dx, grads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 4 * math.prod(out_shape)

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def positions(self) -> Positions | None:
        return ALONE


def _normal(x: Array, epsilon: float | Array) -> tuple[Array, Array]:
    inverse = 1 / array_module(x).sqrt(_mean(x * x) + epsilon)
    return x * inverse, inverse


def _mean(x: Array) -> Array:
    """Return the mean over the last axis, which is kept with length 1."""
    return x.sum(axis=-1, keepdims=True) * (1 / x.shape[-1])
