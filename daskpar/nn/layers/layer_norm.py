"""Layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.partition_rules import ALONE, ROW, Positions, Window
from daskpar.registry import register


@register("layer_norm")
@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation over the last axis: `y = (x − mean) / √(variance + epsilon) · scale + shift`.

    Args:
        epsilon: Added to the variance, against division by zero. Default: 1e-5.

    Shape:
        - Input: (rows, ..., features).
        - Output: the same.

    Parameters:
        - scale, shift: (features,).

    Raises:
        InputError: `epsilon` is not positive, or examples are single numbers.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, LayerNorm
        >>> layer = LayerNorm()
        >>> params, _ = layer.init(np.random.default_rng(0), (2,))
        >>> y, _ = layer.forward(params, np.array([[1.0, 3.0], [10.0, 30.0]]), Context())
        >>> y.round(3)
        array([[-1.,  1.],
               [-1.,  1.]])

    Reference:
        Ba, Kiros and Hinton 2016, "Layer normalization". https://arxiv.org/abs/1607.06450
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        require_positive(self.kind, epsilon=self.epsilon)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if not in_shape:
            raise InputError("layer_norm: expected an axis of features, got single numbers")
        return {"scale": np.ones(in_shape[-1]), "shift": np.zeros(in_shape[-1])}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, list[Array]]:
        y, *saved = kernels(x).layer_norm(x, params["scale"], params["shift"], self.epsilon)
        return y, saved

    def backward(self, params: Params, saved: list[Array], dy: Array, ctx: Context) -> tuple[Array, Params]:
        normal, inverse = saved
        dx, scale, shift = kernels(dy).layer_norm_backward(dy, normal, inverse, params["scale"])
        return dx, {"scale": scale, "shift": shift}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 8 * super().flops(in_shape, out_shape)

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def positions(self) -> Positions | None:
        return ALONE
