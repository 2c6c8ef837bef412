"""The fully connected layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.partition_rules import ALONE, Positions, Width
from daskpar.nn.rectifying import Rectifying
from daskpar.registry import register


@register("dense")
@dataclass(frozen=True)
class Dense(Rectifying):
    """Fully connected layer: `y = x @ weight + bias`. On sequences it computes each position alone.

    Args:
        units: Size of the last axis of the output. The last layer of a model may leave it out: it is then the
            number of classes, characters or targets of the data. Default: None.
        bias: Add a learned bias. Default: True.
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros". Default: "he".
        init_bias: Initialiser of the bias. Default: "zeros".

    Shape:
        - Input: (rows, features) or (rows, positions, features).
        - Output: (rows, units) or (rows, positions, units).

    Parameters:
        - weight: (features, units).
        - bias: (units,).

    Raises:
        InputError: `units` is not positive, an initialiser is not known, or the input has other axes.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Dense
        >>> layer = Dense(2)
        >>> params, shape = layer.init(np.random.default_rng(0), (3,))
        >>> params["weight"].shape, params["bias"].shape, shape
        ((3, 2), (2,), (2,))
        >>> params = {"weight": np.array([[1.0, 2.0]]), "bias": np.array([0.5, 0.0])}
        >>> y, _ = layer.forward(params, np.array([[1.0], [10.0]]), Context())
        >>> y
        array([[ 1.5,  2. ],
               [10.5, 20. ]])

    Reference:
        He et al. 2015, "Delving deep into rectifiers", section 2.2, for the default initialiser.
        https://arxiv.org/abs/1502.01852
    """

    units: int | None = None
    bias: bool = True
    init_weight: str = "he"
    init_bias: str = "zeros"

    def __post_init__(self) -> None:
        if self.units is not None:
            require_positive("dense", units=self.units)
        initialiser(self.init_weight), initialiser(self.init_bias)

    def open_sizes(self) -> dict[str, str]:
        return {"outputs": "units"} if self.units is None else {}

    @property
    def _units(self) -> int:
        if self.units is None:
            raise InputError("dense.units is not set, and the data do not determine it; give a number")
        return self.units

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) not in (1, 2):
            raise InputError(
                f"dense: expected examples of one axis, or sequences of two, got shape {in_shape}; put a "
                "flatten before it"
            )
        fan = (in_shape[-1], self._units)
        params = {"weight": initialiser(self.init_weight)(rng, fan, *fan)}
        if self.bias:
            params["bias"] = initialiser(self.init_bias)(rng, (self._units,), *fan)
        return params, (*in_shape[:-1], self._units)

    def forward_rectified(self, params: Params, x: Array, ctx: Context, rectify: bool) -> tuple[Array, Array]:
        flat, bias = x.reshape(-1, x.shape[-1]), params.get("bias")
        y = kernels(x).product(flat, params["weight"], bias=bias, rectify=rectify)
        return y.reshape(*x.shape[:-1], self._units), x

    def backward_rectified(
        self, params: Params, saved: Array, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        product = kernels(dy).product
        x, flat = saved.reshape(-1, saved.shape[-1]), dy.reshape(-1, self._units)
        grads = {"weight": product(x.T, flat, out=ctx.space("weight"))}
        if self.bias:
            grads["bias"] = array_module(dy).sum(flat, axis=0, out=ctx.space("bias"))
        if not ctx.input_gradient:
            return None, grads
        where = x if rectified else None
        return product(flat, params["weight"].T, where=where).reshape(saved.shape), grads

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * in_shape[-1] * math.prod(out_shape)

    def width(self) -> Width | None:
        return Width("columns", (("weight", 1), ("bias", 0)))

    def joins(self) -> Width | None:
        return Width("rows", (("weight", 0),), sums=True, once=("bias",))

    def part(self, index: int, parts: int) -> Layer:
        return replace(self, units=self._units // parts)

    def positions(self) -> Positions | None:
        return ALONE
