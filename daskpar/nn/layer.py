"""The contract of a layer, and of an operation: a layer at its place in a model."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.context import Context, Params, Saved, Shape
from daskpar.nn.frozen import as_trainable_as_it, frozen
from daskpar.nn.partition_rules import Positions, Width, Window
from daskpar.registry import Table
from daskpar.settings import Block

__all__ = [
    "BatchStatistics",
    "Context",
    "Layer",
    "Operation",
    "Params",
    "Program",
    "Rectifying",
    "Saved",
    "Shape",
    "frozen",
    "require_positive",
    "synchronised",
]


@dataclass(frozen=True)
class Operation:
    """One operation: `run` a layer, or `fork`, `swap` and `join` the branches of a residual.

    `path` is the layer's place in the model, which names its parameters; with `shallow` only those directly
    at that place are meant. `absent`: parameters (name, shape) that count as zero, because another part of
    the layer holds them. Where `alone`, a layer that shares statistics has nobody to share them with. An
    `inline` layer is a list of layers that belongs to the layer around it: it is taken apart with that.
    """

    role: str
    path: tuple[int, ...]
    layer: Layer
    shallow: bool = False
    absent: tuple[tuple[str, Shape], ...] = ()
    alone: bool = False
    inline: bool = False

    def holds(self, name: str) -> bool:
        """Tell whether the parameter of this name is the operation's."""
        place = "".join(f"{index}." for index in self.path)
        own = self.role == "run" and name.startswith(place)
        return own and not (self.shallow and "." in name[len(place) :])

    @property
    def sharing(self) -> BatchStatistics | None:
        """The layer, where its statistics are those of the whole batch."""
        if isinstance(self.layer, BatchStatistics) and synchronised(self.layer) and not self.alone:
            return self.layer
        return None

    @property
    def shares(self) -> bool:
        return self.sharing is not None


Place = tuple[int, ...]
"""A layer's place within another, as in `Operation.path`; () is the layer itself."""
Program = Sequence[Operation]
"""A model, or a part of one, as a list of operations."""


@dataclass(frozen=True)
class Layer(Block):
    """Hyper-parameters of a block operation; holds no arrays.

    `forward(params, x, ctx) -> (y, saved)` and `backward(params, saved, dy, ctx) -> (dx, grads)` are pure:
    inputs are never written to (workers that are threads share them), gradients are returned and sum over
    examples. Axis 0 of `x` and `y` is the example; the shapes given to and returned by `init` leave it out.
    Outputs have the dtype of `x`. `check_layer` checks all of this.

    A layer that is not `trainable` keeps its parameters, and so do all layers within it: no update, no weight
    decay, no penalty, no share in the norm of the gradient.

    >>> from daskpar.nn import Dense, Residual
    >>> block = Residual((Dense(8), Dense(8)), trainable=False)
    >>> [operation.layer.trainable for operation in block.children() if operation.role == "run"]
    [False]

    >>> class Scale(Layer):  # y = x · weight, (rows, ..., features) -> (rows, ..., features)
    ...     def init(self, rng, in_shape):
    ...         return {"weight": np.ones(in_shape[-1])}, in_shape
    ...     def forward(self, params, x, ctx):
    ...         return x * params["weight"], x
    ...     def backward(self, params, saved, dy, ctx):
    ...         axes = tuple(range(dy.ndim - 1))
    ...         return dy * params["weight"], {"weight": (dy * saved).sum(axis=axes)}
    >>> from daskpar import check_layer
    >>> check_layer(Scale(), (4,))
    """

    trainable: bool = field(default=True, kw_only=True)
    kind: ClassVar[str] = "layer"
    tokens: ClassVar[bool] = False
    """True where examples are integers, e.g. numbers of words."""
    rectifies: ClassVar[bool] = False
    """True where it can do the work of a ReLU that comes before or after it; see `Rectifying`."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "children" in cls.__dict__:
            cls.children = as_trainable_as_it(cls.__dict__["children"])  # type: ignore[method-assign, assignment]

    def children(self) -> tuple[Operation, ...]:
        """The operations that a layer made of layers stands for, in order; none for any other layer.

        Paths are relative to the layer. See `nn.container` for how layers are put together.
        """
        return ()

    def stands_for(self) -> tuple[Layer, ...]:
        """The layers that it is a short way to write, in a list of layers; any other stands for itself."""
        return (self,)

    def freeze(self, places: Set[Place]) -> Self:
        """The layer with those at some places frozen, as far as it holds layers in a list."""
        return frozen(self) if () in places else self

    def open_sizes(self) -> dict[str, str]:
        """The sizes that are left to the data (`words`, `outputs`, `columns`), and the fields they go to.

        See `nn.open_sizes`.
        """
        return {}

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """Initial parameters (float64, cast when they enter the flat buffer) and the shape of an output."""
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        raise TypeError(f"{type(self).__name__} has no backward")

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """The positions of the output that go on, for an input `x` of which those in `mask` do."""
        return mask

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
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
        """The fault in the values of some examples, or None."""
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        """Floating point operations of `forward` for one example; two for a multiplication and addition."""
        return math.prod(out_shape)

    def width(self) -> Width | None:
        """The split of the layer in width; None where it does not."""
        return None

    def joins(self) -> Width | None:
        """The split for an input whose last axis is split; the outputs are summed."""
        return None

    def part(self, index: int, parts: int) -> Layer:
        """The layer that works on part `index` of so many equal parts, as `width` has it."""
        return self

    def positions(self) -> Positions | None:
        """How the layer works on a share of the positions of sequences; None where it needs all of them."""
        return None

    def share(self, start: int, stop: int, length: int) -> Layer:
        """The layer for positions `start` to `stop` of so many, as `positions` has it."""
        return self

    def window(self, in_shape: Shape) -> Window | None:
        """The rows of pixels that an output row needs; None where it needs them all."""
        return None

    def tile(self, edges: tuple[int, int], in_shape: Shape) -> Layer:
        """The layer for some rows of an example of `in_shape`, padded with so many above and below them."""
        return self


LAYERS = Table("layer", Layer, "daskpar.nn")


@dataclass(frozen=True)
class BatchStatistics(Layer):
    """A layer that normalises by sums over the rows of a chunk or, where `sync` is set, of the whole batch.

    `gather` gives moments, which `nn.moments.combine` puts together over chunks, `gather_backward` sums that
    add up; `forward_with` and `backward_with` take the total. `forward` and `backward` are the same with what
    the chunk alone has gathered.
    """

    def gather(self, params: Params, x: Array, ctx: Context) -> Array:
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def forward_with(self, params: Params, x: Array, sums: Array, ctx: Context) -> tuple[Array, Saved]:
        raise TypeError(f"{type(self).__name__} has no forward_with")

    def gather_backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> Array:
        raise TypeError(f"{type(self).__name__} gathers nothing")

    def backward_with(
        self, params: Params, saved: Saved, dy: Array, sums: Array, ctx: Context
    ) -> tuple[Array, Params]:
        raise TypeError(f"{type(self).__name__} has no backward_with")


@dataclass(frozen=True)
class Rectifying(Layer):
    """A layer that can do the work of a ReLU beside it, while its numbers are in the nearest cache.

    It has `forward_rectified` and `backward_rectified` in place of `forward` and `backward`, which are these
    without a ReLU beside the layer.
    """

    rectifies: ClassVar[bool] = True

    def forward_rectified(self, params: Params, x: Array, ctx: Context, rectify: bool) -> tuple[Array, Saved]:
        """`forward`, where asked to `rectify` with max(0, y) in y's place."""
        raise TypeError(f"{type(self).__name__} has no forward_rectified")

    def backward_rectified(
        self, params: Params, saved: Saved, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        """`backward`; where its input is `rectified`, dx is zero where the input is not above zero."""
        raise TypeError(f"{type(self).__name__} has no backward_rectified")

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        return self.forward_rectified(params, x, ctx, False)

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return self.backward_rectified(params, saved, dy, ctx, False)


def synchronised(layer: Layer) -> bool:
    """Tell whether a layer asks for statistics of the whole batch; a frozen one has its running ones."""
    return bool(getattr(layer, "sync", False)) and layer.trainable


def require_positive(layer: str, **values: float) -> None:
    """Refuse hyper-parameters that are not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{layer}.{name}={value} must be above zero")
