"""The contract of a layer, and what a layer is told about the pass it takes part in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError

Shape = tuple[int, ...]
Params = dict[str, Any]
"""Arrays by name; a layer made of layers nests the dicts of its parts under "0", "1", ..."""


@dataclass(frozen=True)
class Context:
    """One pass over some rows of one batch.

    `row` is the place of the first of these rows in the global batch and `path` the layer's place in the
    network: with `seed` and `step` they name every random draw. `out`, where given, holds an array for each
    gradient, shaped like `params`, that `backward` may write its result into; it returns it all the same.
    Where `input_gradient` is false nobody needs dx, and `backward` may return None for it.
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    row: int = 0
    path: tuple[int, ...] = ()
    out: Params | None = None
    input_gradient: bool = True

    def child(self, index: int, input_gradient: bool = True) -> Context:
        """The same pass, seen by part `index` of a layer made of layers."""
        out = None if self.out is None else self.out.get(str(index))
        return replace(self, path=(*self.path, index), out=out, input_gradient=input_gradient)

    def space(self, name: str) -> Array | None:
        """The array that gradient `name` may be written into, or None."""
        return None if self.out is None else self.out.get(name)


@dataclass(frozen=True)
class Layer:
    """Hyper-parameters of a block operation; holds no arrays.

    `forward(params, x, ctx) -> (y, saved)` and `backward(params, saved, dy, ctx) -> (dx, grads)` are pure:
    inputs are never written to (workers that are threads share them), gradients are returned and sum over
    examples. Axis 0 of `x` and `y` is the example; the shapes given to and returned by `init` leave it out.
    Outputs have the dtype of `x`.
    """

    kind: ClassVar[str] = "layer"

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """Initial parameters (float64, cast when they enter the flat buffer) and the shape of an output."""
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        raise TypeError(f"{type(self).__name__} has no backward")


def positive(layer: str, **values: float) -> None:
    """Refuse hyper-parameters that are not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{layer}.{name}={value} must be above zero")
