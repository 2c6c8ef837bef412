"""The contract of a layer, and what a layer is told about the pass it takes part in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.cuts import Width, Window
from daskpar.registry import Table
from daskpar.settings import Block

Shape = tuple[int, ...]
Params = dict[str, Any]
"""Arrays by name; a layer made of layers nests the dicts of its parts under "0", "1", ..."""


@dataclass(frozen=True)
class Context:
    """One pass over some rows of one batch.

    `row` is the place of the first of these rows in the global batch and `path` the layer's place in the
    network: with `seed` and `step` they name every random draw. `out`, where given, holds an array for each
    gradient, shaped like `params`, that `backward` may write its result into; it returns it all the same.
    Where `input_gradient` is false nobody needs dx, and `backward` may return None for it. `mask` (rows,
    positions) is true where a sequence goes on, None where all do. Where `backward` is false nobody will ask
    for gradients, and nothing need be saved; where `consume` is true what was saved is given away to
    `backward`, which lets go of it piece by piece. `rectify` asks a layer that `rectifies` for max(0, y) in
    y's place, because a rectifier follows, and `rectified` tells a layer that its input comes from one: it
    may then leave out of dx what that will not let through.
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    row: int = 0
    path: tuple[int, ...] = ()
    out: Params | None = None
    input_gradient: bool = True
    mask: Array | None = None
    backward: bool = True
    consume: bool = False
    rectify: bool = False
    rectified: bool = False

    def child(
        self, index: int, input_gradient: bool = True, rectify: bool = False, rectified: bool = False
    ) -> Context:
        """The same pass, seen by part `index` of a layer made of layers."""
        out = None if self.out is None else self.out.get(str(index))
        return Context(  # thrice as fast as `replace`, and there are some for each layer and step
            self.training,
            self.seed,
            self.step,
            self.row,
            (*self.path, index),
            out,
            input_gradient,
            self.mask,
            self.backward,
            self.consume,
            rectify,
            rectified,
        )

    def masked(self, mask: Array | None) -> Context:
        """The same pass, with another mask."""
        return self if mask is self.mask else replace(self, mask=mask)

    def space(self, name: str) -> Array | None:
        """The array that gradient `name` may be written into, or None."""
        return None if self.out is None else self.out.get(name)


@dataclass(frozen=True)
class Layer(Block):
    """Hyper-parameters of a block operation; holds no arrays.

    `forward(params, x, ctx) -> (y, saved)` and `backward(params, saved, dy, ctx) -> (dx, grads)` are pure:
    inputs are never written to (workers that are threads share them), gradients are returned and sum over
    examples. Axis 0 of `x` and `y` is the example; the shapes given to and returned by `init` leave it out.
    Outputs have the dtype of `x`.
    """

    kind: ClassVar[str] = "layer"
    tokens: ClassVar[bool] = False
    """Whether examples are integers, e.g. numbers of words."""
    rectifies: ClassVar[bool] = False
    """Whether it can do the work of a rectifier that comes before or after it; see `Context`."""

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """Initial parameters (float64, cast when they enter the flat buffer) and the shape of an output."""
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        raise TypeError(f"{type(self).__name__} has no backward")

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Which positions of the output go on, for an input `x` of which those in `mask` do."""
        return mask

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`forward`, and the mask of the output."""
        y, saved = self.forward(params, x, ctx)
        return y, saved if ctx.backward else None, self.mask(x, ctx.mask)

    def observe(self, params: Params, sums: Params) -> Params:
        """New values of the running statistics, those parameters whose names begin with `running_`.

        They are not trained: what `backward` returns as their gradients are sums over a chunk, which meet in
        the same trees as gradients do; `sums` are those of the whole batch. So they do not depend on how
        the batch was cut.
        """
        return {}

    def refuses(self, x: Array) -> str | None:
        """What is wrong with the values of some examples, or None."""
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        """Floating point operations of `forward` for one example; two for a multiplication and addition."""
        return math.prod(out_shape)

    def width(self) -> Width | None:
        """How the layer splits in width; None where it does not."""
        return None

    def joins(self) -> Width | None:
        """How the layer takes an input whose last axis is shared out, its outputs being summed."""
        return None

    def part(self, index: int, parts: int) -> Layer:
        """The layer that works on part `index` of so many equal parts, as `width` has it."""
        return self

    def window(self, in_shape: Shape) -> Window | None:
        """Which rows of pixels an output row needs; None where it needs them all."""
        return None

    def tile(self, edges: tuple[int, int], in_shape: Shape) -> Layer:
        """The layer for some rows of an example of `in_shape`, padded with so many above and below them."""
        return self


LAYERS = Table("layer", Layer, "daskpar.nn")


@dataclass(frozen=True)
class Sharing(Layer):
    """A layer that normalises by sums over the rows of a chunk or, where `sync` is set, of the whole batch.

    `gather` gives moments, which `nn.moments.combine` puts together over chunks, `gather_backward` sums that
    add up; `forward_with` and `backward_with` take the total. `forward` and `backward` are the same with what
    the chunk alone has gathered.
    """

    def gather(self, params: Params, x: Array, ctx: Context) -> Array:
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def forward_with(self, params: Params, x: Array, sums: Array, ctx: Context) -> tuple[Array, Any]:
        raise TypeError(f"{type(self).__name__} has no forward_with")

    def gather_backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> Array:
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def backward_with(
        self, params: Params, saved: Any, dy: Array, sums: Array, ctx: Context
    ) -> tuple[Array, Params]:
        raise TypeError(f"{type(self).__name__} has no backward_with")


def positive(layer: str, **values: float) -> None:
    """Refuse hyper-parameters that are not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{layer}.{name}={value} must be above zero")
