"""Layers made of layers: one after the other, and around a shortcut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape


@dataclass(frozen=True)
class Sequential(Layer):
    """Layers applied one after the other. Parameters are nested under "0", "1", ..."""

    layers: tuple[Layer, ...]
    kind: ClassVar[str] = "sequential"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise InputError("a model needs at least one layer")

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        params: Params = {}
        shape = in_shape
        for i, (layer, child) in enumerate(zip(self.layers, rng.spawn(len(self.layers)), strict=True)):
            try:
                params[str(i)], shape = layer.init(child, shape)
            except InputError as error:
                raise InputError(f"layer {i}: {error}") from None
        return params, shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        return self.forward_part(0, len(self.layers), params, x, ctx)

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return self.backward_part(0, len(self.layers), params, saved, dy, ctx)

    def forward_part(
        self, start: int, stop: int, params: Params, x: Array, ctx: Context
    ) -> tuple[Array, Any]:
        """`forward` through layers `start` to `stop` only: how a network is cut in depth."""
        saved = []
        for i in range(start, stop):
            x, keep = self.layers[i].forward(params.get(str(i), {}), x, ctx.child(i))
            saved.append(keep)
        return x, saved

    def backward_part(
        self, start: int, stop: int, params: Params, saved: Any, dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        """`backward` through layers `start` to `stop` only, from the last to the first.

        Where nobody needs dx, it ends at the first layer that has parameters.
        """
        grads: Params = {}
        needed = start
        if not ctx.input_gradient:
            needed = next((i for i in range(start, stop) if params.get(str(i))), stop)
        for i in range(stop - 1, needed - 1, -1):
            child = ctx.child(i, input_gradient=ctx.input_gradient or i > needed)
            dy, grads[str(i)] = self.layers[i].backward(params.get(str(i), {}), saved[i - start], dy, child)
        return (dy if ctx.input_gradient else None), grads


@dataclass(frozen=True)
class Residual(Layer):
    """`y = x + layers(x)` (He et al. 2016). The layers must return the shape they are given."""

    layers: tuple[Layer, ...]
    kind: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))

    @property
    def _inner(self) -> Sequential:
        return Sequential(self.layers)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        params, out_shape = self._inner.init(rng, in_shape)
        if out_shape != in_shape:
            raise InputError(
                f"residual: its layers turn {in_shape} into {out_shape}; they must keep the shape"
            )
        return params, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        y, saved = self._inner.forward(params, x, ctx)
        return x + y, saved

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        dx, grads = self._inner.backward(params, saved, dy, ctx)
        return (dx + dy if ctx.input_gradient else None), grads
