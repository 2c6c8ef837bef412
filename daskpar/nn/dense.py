"""A fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, positive


@dataclass(frozen=True)
class Dense(Layer):
    """`y = x @ weight + bias`: (rows, in) -> (rows, units). Parameters: weight (in, units), bias (units,)."""

    units: int
    bias: bool = True
    init_weight: str = "he"
    init_bias: str = "zeros"
    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        positive("dense", units=self.units)
        initialiser(self.init_weight), initialiser(self.init_bias)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 1:
            raise InputError(
                f"dense: expected examples of one axis, got shape {in_shape}; put a flatten before it"
            )
        fan = (in_shape[0], self.units)
        params = {"weight": initialiser(self.init_weight)(rng, fan, *fan)}
        if self.bias:
            params["bias"] = initialiser(self.init_bias)(rng, (self.units,), *fan)
        return params, (self.units,)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = x @ params["weight"]
        if self.bias:
            y += params["bias"]
        return y, x

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        xp = array_module(dy)
        grads = {"weight": xp.matmul(saved.T, dy, out=ctx.space("weight"))}
        if self.bias:
            grads["bias"] = xp.sum(dy, axis=0, out=ctx.space("bias"))
        return (dy @ params["weight"].T if ctx.input_gradient else None), grads
