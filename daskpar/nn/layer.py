"""The contract of a layer, and of an operation: a layer at its place in a model.

    params, out_shape = layer.init(rng, in_shape)               once
    y, saved = layer.forward(params, x, ctx)                    for each chunk of rows
    dx, grads = layer.backward(params, saved, dy, ctx)          for each chunk of rows

The file is long because it documents each method that a layer can have.
"""

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
    "Saved",
    "Shape",
    "frozen",
    "require_positive",
    "synchronised",
]


@dataclass(frozen=True)
class Operation:
    """One operation of a model: `run` a layer, or `fork`, `swap` or `join` the branches of a residual.

    Args:
        role: "run", "fork", "swap" or "join".
        path: Place of the layer in the model. It prefixes the names of the layer's parameters.
        layer: Layer to run. For the other roles, the residual that the operation belongs to.
        shallow: Only the parameters directly at `path` belong to the operation, not those nested below it.
        absent: Parameters (name, shape) that count as zero here, because another part of the layer holds
            them.
        alone: A layer with batch statistics uses those of its own chunk: no other chunk takes part.
        inline: The layer is the list of layers of a container. It is split up together with the container.
    """

    role: str
    path: tuple[int, ...]
    layer: Layer
    shallow: bool = False
    absent: tuple[tuple[str, Shape], ...] = ()
    alone: bool = False
    inline: bool = False

    def holds(self, name: str) -> bool:
        """Return whether the parameter of this name belongs to the operation."""
        place = "".join(f"{index}." for index in self.path)
        belongs = self.role == "run" and name.startswith(place)
        return belongs and not (self.shallow and "." in name[len(place) :])

    @property
    def sharing(self) -> BatchStatistics | None:
        """The layer, if its statistics are those of the whole batch, else None."""
        if isinstance(self.layer, BatchStatistics) and synchronised(self.layer) and not self.alone:
            return self.layer
        return None

    @property
    def shares(self) -> bool:
        """True if the layer's statistics are those of the whole batch."""
        return self.sharing is not None


Place = tuple[int, ...]
"""Place of a layer within another, as in `Operation.path`; () is the layer itself."""
Program = Sequence[Operation]
"""A model, or a part of one, as a list of operations."""


@dataclass(frozen=True)
class Layer(Block):
    """Base class of all layers: a frozen dataclass of hyper-parameters that holds no arrays.

    To write a layer, derive from `Layer`, declare the hyper-parameters as fields of a frozen dataclass, and
    define `init` (if there are parameters), `forward` and `backward`. The other methods have defaults that
    are correct for any layer. Override them to report the cost of the layer, to handle masks, or to let a
    `Layout` split the layer. `check_layer` tests a layer against this contract.

    `forward` and `backward` compute a chunk: those rows of a batch that one task works on. Their rules:

    - Axis 0 of every input and output is the row: one example each. The shapes in `init` leave it out.
    - Outputs have the dtype of the input, and dx has its shape and dtype.
    - Never write to an argument: workers that are threads share the arrays.
    - Return gradients as sums over the rows, not as means. Gradients of several chunks are added.
    - Draw random numbers by `ctx` alone (seed, step, path and row), so that every layout draws the same.
      `daskpar.backend.random` has the functions.

    Args:
        trainable: Train the parameters of this layer and of all layers within it. False freezes them: they
            get no update, no weight decay and no penalty, and do not count in the norm of the gradient. Only
            by keyword. Default: True.

    Attributes:
        kind: Name of the layer in YAML configs and messages, set by `@register("name")`.
        tokens: True if the input is integers, for example token ids. Default: False.

    Example:
        >>> from dataclasses import dataclass
        >>> from daskpar import check_layer, register
        >>> @register("multiply")
        ... @dataclass(frozen=True)
        ... class Multiply(Layer):  # y = x · weight, (rows, ..., features) -> (rows, ..., features)
        ...     initial: float = 1.0
        ...     def init(self, rng, in_shape):
        ...         return {"weight": np.full(in_shape[-1], self.initial)}, in_shape
        ...     def forward(self, params, x, ctx):
        ...         return x * params["weight"], x
        ...     def backward(self, params, saved, dy, ctx):
        ...         axes = tuple(range(dy.ndim - 1))
        ...         return dy * params["weight"], {"weight": (dy * saved).sum(axis=axes)}
        >>> check_layer(Multiply(initial=2.0), (4,))

        A model with a frozen layer:

        >>> from daskpar import Dense
        >>> model = [Dense(8, trainable=False), Multiply(), Dense(2)]
    """

    trainable: bool = field(default=True, kw_only=True)
    kind: ClassVar[str] = "layer"
    tokens: ClassVar[bool] = False
    """True if the input is integers, for example token ids."""
    rectifies: ClassVar[bool] = False
    """True if it can apply a ReLU before or after it; see `nn.rectifying`."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "children" in cls.__dict__:
            cls.children = as_trainable_as_it(cls.__dict__["children"])  # type: ignore[method-assign, assignment]

    def children(self) -> tuple[Operation, ...]:
        """Return the operations of a layer made of layers, in order, or an empty tuple for any other layer.

        The paths of the operations are relative to the layer. `daskpar.nn.container` has the functions that
        build them, and the base class `Container`, which runs them.
        """
        return ()

    def stands_for(self) -> tuple[Layer, ...]:
        """Return the layers that replace this one in a list of layers. Default: the layer itself.

        `Repeat` overrides it: a list holds the repeated layers instead of the `Repeat`.
        """
        return (self,)

    def freeze(self, places: Set[Place]) -> Self:
        """Return a copy in which the layers at some places are frozen.

        Args:
            places: Places relative to this layer. () is the layer itself; (2,) is the third layer of its
                list. A layer that holds no list of layers ignores all places but ().
        """
        return frozen(self) if () in places else self

    def open_sizes(self) -> dict[str, str]:
        """Return the sizes that the data decide, and the field that each of them sets.

        The sizes are "words", "outputs" and "columns"; see `daskpar.nn.open_sizes.Sizes`. For example, a
        `Dense` without `units` returns {"outputs": "units"}. Default: {}.
        """
        return {}

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        """Return the initial parameters and the shape of an output. Default: no parameters, the same shape.

        Args:
            rng: Random stream of this layer. All draws come from it, so that a seed reproduces the
                parameters.
            in_shape: Shape of one example, without the axis of rows.

        Returns:
            The parameters as a dict of arrays by name (float64, cast later to the dtype of the run), and the
            shape of one output. Names that begin with "running_" are statistics, which no gradient trains:
            see `observe`.

        Raises:
            InputError: The layer does not support `in_shape`. The message names the shape and a remedy.
        """
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        """Compute the output for a chunk of rows.

        Args:
            params: Parameters by name, with the names and shapes of `init`, in the dtype of the run.
            x: Input (rows, *in_shape).
            ctx: Training or prediction, the mask, and the address of random draws.

        Returns:
            The output (rows, *out_shape) in the dtype of `x`, and the values that `backward` needs: arrays,
            in tuples, lists or dicts. They are ignored if `ctx.backward` is false.
        """
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        """Compute the gradients for a chunk of rows.

        Args:
            params: Parameters, the same as in `forward`.
            saved: Second value that `forward` returned for this chunk.
            dy: Gradient of the loss with respect to the output (rows, *out_shape).
            ctx: Context of the pass. `ctx.out` may hold arrays to write the gradients into.

        Returns:
            The gradient with respect to the input (rows, *in_shape), and a dict with the gradient of each
            parameter, by name. The first may be None if `tokens` is true or `ctx.input_gradient` is false.
        """
        raise TypeError(f"{type(self).__name__} has no backward")

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Return the mask of the output. Default: the mask of the input.

        Override it if the output has other positions than the input. Return None if it has no positions.

        Args:
            x: Input (rows, *in_shape).
            mask: Mask of the input, bool (rows, positions). False marks padding. None: nothing is padding.
        """
        return mask

    def run(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
        """Return the output, the values for `backward`, and the mask of the output.

        It calls `forward` and `mask`. Containers override it; other layers have no need to.
        """
        y, saved = self.forward(params, x, ctx)
        return y, saved if ctx.backward else None, self.mask(x, ctx.mask)

    def observe(self, params: Params, sums: Params) -> Params:
        """Return the new values of the running statistics. Default: {}, for a layer that has none.

        Running statistics are the parameters whose names begin with "running_". The optimizer does not train
        them. For them, `backward` returns sums over the rows of its chunk instead of gradients. The sums are
        added over all chunks of the batch, as gradients are, so the result does not depend on how the batch
        was split.

        Args:
            params: Parameters before the step.
            sums: Sums of the whole batch, by the names of the running statistics.
        """
        return {}

    def refuses(self, x: Array) -> str | None:
        """Return an error text if the layer cannot compute some values of `x`, else None. Default: None.

        It is called on the first layer of a model, with the rows of a dataset. `Embedding` uses it to reject
        numbers that are not below `words`.
        """
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        """Return the number of floating-point operations of `forward` for one example.

        A multiplication and an addition count as two. The automatic choice of a layout and the split into
        pipeline stages use it. Default: one for each element of the output.
        """
        return math.prod(out_shape)

    def width(self) -> Width | None:
        """Return the rule that splits the layer for tensor parallelism (`Layout(width=...)`).

        Every part receives the whole input. The rule is a `Width` of `daskpar.nn.partition_rules`;
        element-wise layers without parameters return `EACH`. Default: None, the layer is not split.
        """
        return None

    def joins(self) -> Width | None:
        """Return the rule that splits the layer after another split layer (`Layout(width=...)`).

        Every part receives a slice of the last axis of the input, and the outputs of the parts are summed.
        The rule is a `Width` with `sums=True`. Default: None, the layer does not support such an input.
        """
        return None

    def part(self, index: int, parts: int) -> Layer:
        """Return the layer that computes part `index` of `parts` equal parts, as `width` or `joins` says.

        Its parameters are slices of those of the whole layer. Default: the layer itself, for a layer whose
        fields do not depend on the size of its input or output.
        """
        return self

    def positions(self) -> Positions | None:
        """Return the rule that splits sequences by position (`Layout(sequence=...)`).

        The rule is a `Positions` of `daskpar.nn.partition_rules`; layers that compute each position alone
        return `ALONE`. Default: None, the layer needs all positions at once.
        """
        return None

    def share(self, start: int, stop: int, length: int) -> Layer:
        """Return the layer for positions `start` to `stop` of sequences of `length` positions.

        It is called if `positions` returns a rule. Default: the layer itself, for layers that treat every
        position alike.
        """
        return self

    def window(self, in_shape: Shape) -> Window | None:
        """Return the rule that splits images by rows of pixels (`Layout(tiles=...)`).

        The rule is a `Window` of `daskpar.nn.partition_rules`; layers that compute each row of pixels alone
        return `ROW`. Default: None, an output row needs all input rows.
        """
        return None

    def tile(self, edges: tuple[int, int], in_shape: Shape) -> Layer:
        """Return the layer for some rows of pixels of an image.

        It is called if `window` returns a rule. Default: the layer itself.

        Args:
            edges: Number of rows of padding (above, below) that the tile has to add itself.
            in_shape: Shape of the whole image (height, width, channels).
        """
        return self


LAYERS = Table("layer", Layer, "daskpar.nn")


@dataclass(frozen=True)
class BatchStatistics(Layer):
    """A layer that normalises by sums over the rows of a chunk or, with `sync`, of the whole batch.

        chunk 0   gather ─┐                                  ┌─> forward_with
                          ├─ combined to those of the batch ─┤
        chunk 1   gather ─┘                                  └─> forward_with

    `gather` returns the moments of a chunk, and `nn.moments.combine` combines those of several chunks.
    `gather_backward` returns sums, which are added. `forward_with` and `backward_with` receive the totals.
    `forward` and `backward` are the same with the values of one chunk.
    """

    def gather(self, params: Params, x: Array, ctx: Context) -> Array:
        """Return the moments (3, channels) of a chunk, as `nn.moments` defines them."""
        raise TypeError(f"{type(self).__name__} has no gather")

    def forward_with(self, params: Params, x: Array, sums: Array, ctx: Context) -> tuple[Array, Saved]:
        """Compute the output of a chunk from moments that `gather` returned, combined over all chunks."""
        raise TypeError(f"{type(self).__name__} has no forward_with")

    def gather_backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> Array:
        """Return the sums over a chunk that the backward pass of all chunks needs."""
        raise TypeError(f"{type(self).__name__} has no gather_backward")

    def backward_with(
        self, params: Params, saved: Saved, dy: Array, sums: Array, ctx: Context
    ) -> tuple[Array, Params]:
        """Compute the gradients of a chunk from the `sums` of `gather_backward`, added over all chunks."""
        raise TypeError(f"{type(self).__name__} has no backward_with")


def synchronised(layer: Layer) -> bool:
    """Return whether a layer uses statistics of the whole batch; a frozen one uses its running statistics."""
    return bool(getattr(layer, "sync", False)) and layer.trainable


def require_positive(layer: str, **values: float) -> None:
    """Raise InputError for a hyper-parameter that is not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{layer}.{name}={value} must be above zero")
