"""Layers made of layers: one after the other, and around a shortcut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn import chain
from daskpar.nn.activations import ReLU
from daskpar.nn.layer import Context, Layer, Params, Shape, positive
from daskpar.nn.pooling import MaxPool
from daskpar.nn.sizes import require_room
from daskpar.registry import register

MOST_LAYERS = 10_000
"""Layers of a model, those within others included: a bound on what a short config can ask for."""


@register("repeat")
@dataclass(frozen=True)
class Repeat(Layer):
    """The same layers `times` times, each time with parameters of their own.

    It stands for them in a list of layers: what holds the list holds the layers themselves.
    """

    times: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        positive("repeat", times=self.times)
        object.__setattr__(self, "layers", written_out(self.layers))
        require_buildable(self.times * len(self.layers))


def written_out(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Layers as they are computed: every `Repeat` among them replaced by what it stands for.

    A rectifier before a max-pool moves behind it. Both give the same, forward and backward, to the bit, but
    then the rectifier treats (and keeps for the backward pass) only what the pool has left.
    """
    out: list[Layer] = []
    for layer in layers:
        require_buildable(len(out) + (len(layer.layers) * layer.times if isinstance(layer, Repeat) else 1))
        out += layer.layers * layer.times if isinstance(layer, Repeat) else (layer,)
    for i in range(1, len(out)):
        if isinstance(out[i], MaxPool) and isinstance(out[i - 1], ReLU):
            out[i - 1], out[i] = out[i], out[i - 1]
    return tuple(out)


def require_buildable(count: int) -> None:
    """Refuse a model of more layers than anybody can train. Raises InputError."""
    if count > MOST_LAYERS:
        raise InputError(
            f"a model of {count:,} layers or more; expected at most {MOST_LAYERS:,}, look at repeat.times"
        )


def count_layers(layer: Layer, known: dict[int, int] | None = None) -> int:
    """Return how many layers a layer is, those within it included, each as often as it is computed.

    `known`: counts by identity, since what is repeated is one object.
    """
    known = {} if known is None else known
    if id(layer) not in known:
        within = (*getattr(layer, "layers", ()), *getattr(layer, "shortcut", ()))
        known[id(layer)] = 1 + sum(count_layers(part, known) for part in within)
    return known[id(layer)]


@register("sequential")
@dataclass(frozen=True)
class Sequential(Layer):
    """Layers applied one after the other. Parameters are nested under "0", "1", ...

    With `remat` nothing but the input is kept for the backward pass, which computes the rest again
    (Chen et al. 2016, "Training deep nets with sublinear memory cost").
    """

    layers: tuple[Layer, ...]
    remat: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", written_out(self.layers))
        if not self.layers:
            raise InputError("a model needs at least one layer")

    @property
    def tokens(self) -> bool:  # type: ignore[override]
        return self.layers[0].tokens

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        params: Params = {}
        shape = in_shape
        for i, (layer, child) in enumerate(zip(self.layers, rng.spawn(len(self.layers)), strict=True)):
            try:
                params[str(i)], shape = self._begun(i, layer, child, shape)
            except InputError as error:
                raise InputError(f"layer {i}: {error}") from None
        return params, shape

    def _begun(self, i: int, layer: Layer, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """`init` of one layer. Refuses shapes and sizes that no layer can do anything with."""
        if 0 in in_shape:
            raise InputError(f"{layer.kind}: examples of shape {in_shape} hold no numbers")
        if i and layer.tokens:
            raise InputError(
                f"{layer.kind}: takes whole numbers, so it can only be the first layer of a model"
            )
        try:
            params, shape = layer.init(rng, in_shape)
        except InputError as error:
            if layer.kind in str(error) or str(error).startswith("layer "):
                raise
            raise InputError(f"{layer.kind}: {error}") from None
        except MemoryError:
            raise InputError(
                f"{layer.kind}: its parameters do not fit into memory; use smaller sizes"
            ) from None
        require_room(f"{layer.kind}: an output", shape)
        return params, shape

    def refuse_tokens(self, outer: str) -> None:
        """Refuse, within a layer of kind `outer`, to begin with a layer that takes whole numbers."""
        if self.tokens:
            kind = self.layers[0].kind
            raise InputError(
                f"{outer}: {kind} takes whole numbers, so it can only be the first layer of a model"
            )

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        return self.run(params, x, ctx)[:2]

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        if not self.remat:
            return self.forward_part(0, len(self.layers), params, x, ctx)
        y, _, mask = self.forward_part(0, len(self.layers), params, x, replace(ctx, backward=False))
        return y, (x, ctx.mask), mask

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        if self.remat:
            x, mask = saved
            _, saved, _ = self.forward_part(0, len(self.layers), params, x, ctx.masked(mask))
            ctx = replace(ctx, consume=True)
        return self.backward_part(0, len(self.layers), params, saved, dy, ctx)

    def forward_part(
        self, start: int, stop: int, params: Params, x: Array, ctx: Context
    ) -> tuple[Array, Any, Array | None]:
        """`run` through layers `start` to `stop` only: how a network is cut in depth."""
        saved: list[Any] = []
        while (i := start + len(saved)) < stop:
            end = self._chains.get(i, stop + 1)
            if end <= stop and chain.suits(x):
                children = [self._child(k, start, stop, ctx) for k in range(i, end)]
                x, kept = chain.forward(self.layers, i, end, params, x, children)
                saved += kept
                continue
            x, keep, mask = self.layers[i].run(params.get(str(i), {}), x, self._child(i, start, stop, ctx))
            saved.append(keep)
            ctx = ctx.masked(mask)
        return x, saved, ctx.mask

    @cached_property
    def _chains(self) -> dict[int, int]:
        return chain.chains(self.layers)

    def _child(self, i: int, start: int, stop: int, ctx: Context, input_gradient: bool = True) -> Context:
        """The pass as layer `i` sees it; of a rectifier next to it, it may do the work."""
        before, own, after = (self.layers[k] if start <= k < stop else None for k in (i - 1, i, i + 1))
        if isinstance(own, ReLU):
            rectify, rectified = (
                after is not None and after.rectifies,
                before is not None and before.rectifies,
            )
            return ctx.child(i, input_gradient, rectify, rectified)
        if own is not None and own.rectifies:
            return ctx.child(i, input_gradient, isinstance(after, ReLU), isinstance(before, ReLU))
        return ctx.child(i, input_gradient)

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
        ends = {end: first for first, end in self._chains.items() if first >= needed}
        i = stop
        while i > needed:
            if i in ends and chain.suits(dy):
                first, end = ends[i], i
                children = [
                    self._child(k, start, stop, ctx, ctx.input_gradient or k > needed)
                    for k in range(first, end)
                ]
                keep = saved[first - start : end - start]
                if ctx.consume:
                    saved[first - start : end - start] = [None] * len(keep)
                dy, found = chain.backward(self.layers, first, end, params, keep, dy, children)
                grads |= found
                i = first
                continue
            i -= 1
            child = self._child(i, start, stop, ctx, ctx.input_gradient or i > needed)
            keep = saved[i - start]
            if ctx.consume:
                saved[i - start] = None
            dy, grads[str(i)] = self.layers[i].backward(params.get(str(i), {}), keep, dy, child)
        return (dy if ctx.input_gradient else None), grads

    def observe(self, params: Params, sums: Params) -> Params:
        return observe_each(self.layers, params, sums)

    def refuses(self, x: Array) -> str | None:
        return self.layers[0].refuses(x)

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        total, shape = 0, in_shape
        for layer in self.layers:
            after = layer.init(np.random.default_rng(0), shape)[1]
            total, shape = total + layer.flops(shape, after), after
        return total


def observe_each(layers: Iterable[Layer], params: Params, sums: Params) -> Params:
    """`observe` for each of some layers that has parameters, which are nested under "0", "1", ..."""
    found: Params = {}
    for i, layer in enumerate(layers):
        if str(i) in params:
            values = layer.observe(params[str(i)], sums[str(i)])
            found |= {str(i): values} if values else {}
    return found


@register("residual")
@dataclass(frozen=True)
class Residual(Layer):
    """`y = shortcut(x) + layers(x)` (He et al. 2016); without a `shortcut`, `y = x + layers(x)`.

    Both branches must return one shape. The shortcut's parameters are nested under the number that follows
    the last of `layers`. `remat`: as for Sequential, of `layers`.
    """

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    remat: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", written_out(self.layers))
        object.__setattr__(self, "shortcut", written_out(self.shortcut))
        if not self.layers:
            raise InputError("a residual needs at least one layer")

    @cached_property
    def _branches(self) -> tuple[Sequential, ...]:
        """The layers, and the shortcut where there is one."""
        main = Sequential(self.layers, self.remat)
        return (main, Sequential(self.shortcut)) if self.shortcut else (main,)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        for branch in self._branches:
            branch.refuse_tokens(self.kind)
        params, out_shape = self._branches[0].init(rng, in_shape)
        if not self.shortcut and out_shape != in_shape:
            raise InputError(
                f"residual: its layers turn {in_shape} into {out_shape}; they must keep the shape, or a "
                "shortcut must change it likewise"
            )
        if self.shortcut:
            inner, shape = self._branches[1].init(rng, in_shape)
            params[str(len(self.layers))] = inner
            if out_shape != shape:
                raise InputError(
                    f"residual: its layers turn {in_shape} into {out_shape}, its shortcut into {shape}; "
                    "they must be of one shape"
                )
        return params, out_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        saved = []
        y = None
        for branch, inner, child in self._parts(params, ctx):
            out, keep, _ = branch.run(inner, x, child)
            saved.append(keep)
            y = out if y is None else y + out
        return (y if self.shortcut else x + y), saved

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        grads: Params = {}
        dx = None if self.shortcut else dy
        for (branch, inner, child), keep in zip(self._parts(params, ctx), saved, strict=True):
            d_in, found = branch.backward(inner, keep, dy, child)
            grads |= found if inner is params else {str(len(self.layers)): found}
            if ctx.input_gradient:
                dx = d_in if dx is None else dx + d_in
        return (dx if ctx.input_gradient else None), grads

    def observe(self, params: Params, sums: Params) -> Params:
        return observe_each((*self.layers, *self._branches[1:]), params, sums)

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        inner = sum(branch.flops(in_shape, out_shape) for branch in self._branches)
        return inner + math.prod(out_shape)

    def _parts(self, params: Params, ctx: Context) -> Iterator[tuple[Sequential, Params, Context]]:
        """Each branch with its parameters and its context."""
        yield self._branches[0], params, ctx
        if self.shortcut:
            at = len(self.layers)
            yield self._branches[1], params.get(str(at), {}), ctx.child(at, ctx.input_gradient)
