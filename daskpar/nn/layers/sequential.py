"""Containers: layers in a row, repeated, and around a shortcut."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.container import Container, around_shortcut, in_sequence, inline
from daskpar.nn.layer import Context, Layer, Operation, Params, Place, Saved, Shape, frozen, require_positive
from daskpar.nn.parts import MOST_LAYERS, count_layers, freeze_each, require_buildable, written_out
from daskpar.registry import register

__all__ = ["MOST_LAYERS", "Repeat", "Residual", "Sequential", "count_layers", "require_buildable"]


@register("repeat")
@dataclass(frozen=True)
class Repeat(Layer):
    """The same layers several times in a row, each time with parameters of their own.

    A list of layers replaces a `Repeat` by the layers that it repeats.

    Args:
        times: Number of repetitions.
        layers: Layers to repeat.

    Shape:
        - Input: that of the first layer.
        - Output: that of the last layer.

    Raises:
        InputError: `times` is not positive, or the model has more than 10,000 layers.

    Example:
        >>> from daskpar import Dense, ReLU, Repeat, Sequential
        >>> model = Sequential((Repeat(2, (Dense(8), ReLU())), Dense(1)))
        >>> model.layers
        (Dense(units=8), ReLU(), Dense(units=8), ReLU(), Dense(units=1))
    """

    times: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        require_positive("repeat", times=self.times)
        object.__setattr__(self, "layers", written_out(self.layers))
        require_buildable(self.times * len(self.layers))

    def stands_for(self) -> tuple[Layer, ...]:
        return self.layers * self.times


@register("sequential")
@dataclass(frozen=True)
class Sequential(Container):
    """Layers in a row: each receives the output of the one before it.

    Args:
        layers: The layers, at least one.
        remat: Keep only the input for the backward pass, which computes the other values again. It saves
            memory and costs a second forward pass. Default: False.

    Shape:
        - Input: that of the first layer.
        - Output: that of the last layer.

    Parameters:
        - "0", "1", ...: parameters of the layers, nested. Full names are "0.weight", "1.bias", ...

    Raises:
        InputError: `layers` is empty.

    Example:
        >>> import numpy as np
        >>> from daskpar import Dense, ReLU, Sequential
        >>> model = Sequential((Dense(8), ReLU(), Dense(2)))
        >>> params, shape = model.init(np.random.default_rng(0), (4,))
        >>> params["0"]["weight"].shape, params["2"]["weight"].shape, shape
        ((4, 8), (8, 2), (2,))

    Reference:
        Chen et al. 2016, "Training deep nets with sublinear memory cost", for `remat`.
        https://arxiv.org/abs/1604.06174
    """

    layers: tuple[Layer, ...]
    remat: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", written_out(self.layers))
        if not self.layers:
            raise InputError("a model needs at least one layer")

    def children(self) -> tuple[Operation, ...]:
        return in_sequence(self.layers)

    def freeze(self, places: Set[Place]) -> Self:
        if () in places:
            return frozen(self)
        return replace(self, layers=freeze_each(self.layers, places))

    def refuse_tokens(self, outer: str) -> None:
        """Raise InputError if the first layer expects integers, within a layer of kind `outer`."""
        if self.tokens:
            kind = self.layers[0].kind
            raise InputError(
                f"{outer}: {kind} expects integers, so it can only be the first layer of a model"
            )

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
        if not self.remat:
            return super().run(params, x, ctx)
        y, _, mask = super().run(params, x, replace(ctx, backward=False))
        return y, (x, ctx.mask), mask

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        if self.remat:
            x, mask = saved
            _, saved, _ = super().run(params, x, ctx.masked(mask))
            ctx = replace(ctx, consume=True)
        return super().backward(params, saved, dy, ctx)

    def refuses(self, x: Array) -> str | None:
        return self.layers[0].refuses(x)


@register("residual")
@dataclass(frozen=True)
class Residual(Container):
    """Residual block: `y = x + layers(x)` or, with a shortcut, `y = shortcut(x) + layers(x)`.

    Args:
        layers: Layers of the main branch, at least one.
        shortcut: Layers of the other branch, for example a `Conv2d` of kernel 1 that changes the shape.
            Without any, the input is added. Default: ().
        remat: Keep only the input of `layers` for the backward pass, as in `Sequential`. Default: False.

    Shape:
        - Input: (rows, ...).
        - Output: the same without a shortcut, else the common shape of the two branches.

    Parameters:
        - "0", "1", ...: parameters of `layers`, nested.
        - str(len(layers)): parameters of the shortcut, nested.

    Raises:
        InputError: `layers` is empty, or the two branches have different shapes.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, ReLU, Residual
        >>> y, _ = Residual((ReLU(),)).forward({}, np.array([[-1.0, 2.0]]), Context())  # x + max(x, 0)
        >>> y
        array([[-1.,  4.]])

    Reference:
        He et al. 2016, "Deep residual learning for image recognition". https://arxiv.org/abs/1512.03385
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
        """The layers and, if there is one, the shortcut."""
        main = Sequential(self.layers, self.remat)
        return (main, Sequential(self.shortcut)) if self.shortcut else (main,)

    def children(self) -> tuple[Operation, ...]:
        main, *shortcut = self._branches
        return around_shortcut(
            self, (inline(main),), tuple(inline(branch, len(self.layers)) for branch in shortcut)
        )

    def freeze(self, places: Set[Place]) -> Self:
        if () in places:
            return frozen(self)
        count = len(self.layers)
        inner = {place[1:] for place in places if place[:1] == (count,)}
        shortcut = map(frozen, self.shortcut) if () in inner else freeze_each(self.shortcut, inner)
        return replace(self, layers=freeze_each(self.layers, places), shortcut=tuple(shortcut))

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        for branch in self._branches:
            branch.refuse_tokens(self.kind)
        params, out_shape = self._branches[0].init(rng, in_shape)
        if not self.shortcut and out_shape != in_shape:
            raise InputError(
                f"residual: its layers turn {in_shape} into {out_shape}; they must keep the shape, or a "
                "shortcut must change it in the same way"
            )
        if self.shortcut:
            inner, shape = self._branches[1].init(rng, in_shape)
            params[str(len(self.layers))] = inner
            if out_shape != shape:
                raise InputError(
                    f"residual: its layers turn {in_shape} into {out_shape}, its shortcut into {shape}; "
                    "they must have the same shape"
                )
        return params, out_shape
