"""Layers made of layers: a container lists its operations, and one interpreter runs them.

    Residual((a, b))                         fork  a  b  join
    Residual((a,), shortcut=(c,))            fork  a  swap  c  join

A container of your own takes a few lines:

>>> from dataclasses import dataclass
>>> from daskpar.nn import Dense, Sequential, Tanh
>>> @dataclass(frozen=True)
... class Bottleneck(Container):
...     units: int
...     features: int
...     def children(self):
...         layers = in_sequence((Dense(self.units), Tanh(), Dense(self.features)))
...         return around_shortcut(self, layers)
>>> import numpy as np
>>> Sequential((Bottleneck(4, 16),)).init(np.random.default_rng(0), (16,))[1]
(16,)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.fusions import fused, reordered
from daskpar.nn.layer import Context, Layer, Operation, Params, Program, Saved, Shape
from daskpar.nn.nested import at, put
from daskpar.nn.operations import Flow, backward, forward, needed
from daskpar.nn.own_layers import check_init
from daskpar.nn.parts import recomputes
from daskpar.nn.sizes import require_room
from daskpar.nn.spans import shapes


def in_sequence(layers: Iterable[Layer]) -> tuple[Operation, ...]:
    """Return the operations of layers in a row. Their parameters are nested under "0", "1", ..."""
    return tuple(Operation("run", (i,), layer) for i, layer in enumerate(layers))


def around_shortcut(
    layer: Layer, main: Sequence[Operation], shortcut: Sequence[Operation] = ()
) -> tuple[Operation, ...]:
    """Return the operations of a `layer` that adds the outputs of two branches.

    Args:
        layer: Container that the operations belong to.
        main: Operations of the first branch.
        shortcut: Operations of the second branch. Without any, the input itself is added.
    """
    swap = (Operation("swap", (), layer),) if shortcut else ()
    return Operation("fork", (), layer), *main, *swap, *shortcut, Operation("join", (), layer)


def inline(layer: Layer, *path: int) -> Operation:
    """Return the operation of a list of layers that belongs to a container.

    Args:
        layer: The list, for example a `Sequential`.
        path: Indices under which its parameters are nested. Without any, they stand directly in those of the
            container.
    """
    return Operation("run", path, layer, inline=True)


def spliced(program: Program) -> tuple[Operation, ...]:
    """Return a program in which inline layers are replaced by their operations, except those with `remat`."""
    operations: list[Operation] = []
    for operation in program:
        if operation.inline and not recomputes(operation.layer):
            for child in spliced(operation.layer.children()):
                operations.append(replace(child, path=(*operation.path, *child.path)))
        else:
            operations.append(operation)
    return tuple(operations)


@dataclass(frozen=True)
class Container(Layer):
    """Base class of layers made of layers: it runs the operations that `children` returns.

    A subclass defines `children`. All other methods follow from the children.
    """

    @cached_property
    def program(self) -> Program:
        """The operations that are run: the children, fused."""
        return fused(spliced(self.children()))

    @property
    def tokens(self) -> bool:  # type: ignore[override]
        first = self.children()[0]
        return first.role == "run" and first.layer.tokens

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """Return the parameters of all children, each drawn from a random stream of its own.

        Raises:
            InputError: A child does not support its input, or two branches return different shapes.
        """
        children = self.children()
        streams = iter(rng.spawn(sum(child.role == "run" for child in children)))
        params: Params = {}
        branches: list[Shape] = []
        shape = in_shape
        for child in children:
            if child.role == "fork":
                branches.append(shape)
            elif child.role == "swap":
                branches[-1], shape = shape, branches[-1]
            elif child.role == "join":
                if branches.pop() != shape:
                    raise InputError(
                        f"{self.kind}: its branches must return the same shape; one returns {shape}"
                    )
            else:
                try:
                    inner, shape = begun(child.layer, next(streams), shape, child is children[0])
                except InputError as error:
                    raise InputError(f"layer {'.'.join(map(str, child.path))}: {error}") from None
                put(params, child.path, inner)
        return params, shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        return self.run(params, x, ctx)[:2]

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
        program = self.program
        flow, saved = forward(program, (0, len(program)), params, Flow(x, ctx.mask), ctx)
        return flow.x, saved, flow.mask

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        """Compute gradients from the last child to the first.

        Without `ctx.input_gradient`, the pass ends at the first child that has parameters to train.
        """
        program = self.program
        needs = needed(program, params, ctx.input_gradient)
        flow, grads = backward(program, (0, len(program)), params, saved, Flow(dy), ctx, needs=needs)
        return (flow.x if ctx.input_gradient else None), grads

    def observe(self, params: Params, sums: Params) -> Params:
        values: Params = {}
        for child in self.children():
            inner = at(params, child.path)
            if child.role == "run" and inner and not child.shallow and child.layer.trainable:
                seen = child.layer.observe(inner, at(sums, child.path))
                if seen:
                    put(values, child.path, seen)
        return values

    def refuses(self, x: Array) -> str | None:
        return self.children()[0].layer.refuses(x) if self.tokens else None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        children = reordered(self.children())
        total = 0
        for child, (before, after) in zip(children, shapes(children, in_shape), strict=True):
            if child.role == "run":
                total += child.layer.flops(before, after)
            elif child.role == "join":
                total += math.prod(after)
        return total


def begun(layer: Layer, rng: np.random.Generator, in_shape: Shape, first: bool) -> tuple[Params, Shape]:
    """Return the result of `init` of one layer in a container.

    Raises:
        InputError: The input has no elements, a layer of integers is not the first, or the parameters or an
            output do not fit into memory.
    """
    if 0 in in_shape:
        raise InputError(f"{layer.kind}: examples of shape {in_shape} have no elements")
    if not first and layer.tokens:
        raise InputError(f"{layer.kind}: expects integers, so it can only be the first layer of a model")
    try:
        params, shape = check_init(layer, layer.init(rng, in_shape))
    except InputError as error:
        if layer.kind in str(error) or str(error).startswith("layer "):
            raise
        raise InputError(f"{layer.kind}: {error}") from None
    except MemoryError:
        raise InputError(f"{layer.kind}: its parameters do not fit into memory; use smaller sizes") from None
    require_room(f"{layer.kind}: an output", shape)
    return params, shape
