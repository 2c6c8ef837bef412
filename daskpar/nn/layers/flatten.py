"""Layers that change the shape of examples and keep their values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.registry import register


@register("flatten")
@dataclass(frozen=True)
class Flatten(Layer):
    """Flatten: all axes of an example become one.

    Shape:
        - Input: (rows, a, b, ...).
        - Output: (rows, a·b·...), a view of the input if possible.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Flatten
        >>> y, _ = Flatten().forward({}, np.zeros((5, 28, 28, 1)), Context())
        >>> y.shape
        (5, 784)
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        return {}, (math.prod(in_shape),)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Shape]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, params: Params, saved: Shape, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy.reshape(saved), {}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0


@register("reshape")
@dataclass(frozen=True)
class Reshape(Layer):
    r"""Reshape: the elements of an example in another shape, in the same order.

    Args:
        shape: Shape of an output, without the axis of rows. One size may be -1: it follows from the others.

    Shape:
        - Input: (rows, ...).
        - Output: (rows, \*shape), a view of the input if possible.

    Raises:
        InputError: A size is neither positive nor -1, or the elements do not fit into `shape`.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Reshape
        >>> y, _ = Reshape((28, 28, -1)).forward({}, np.zeros((5, 784)), Context())
        >>> y.shape
        (5, 28, 28, 1)
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(size < 1 and size != -1 for size in self.shape) or self.shape.count(-1) > 1:
            raise InputError(
                f"reshape.shape={self.shape}: expected sizes of at least 1; one may be -1, which follows "
                "from the others"
            )

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        count, known = math.prod(in_shape), math.prod(n for n in self.shape if n != -1)
        if self.shape.count(-1) == 1 and known > 0 and count % known == 0:
            return {}, tuple(count // known if n == -1 else n for n in self.shape)
        if -1 in self.shape or known != count:
            raise InputError(f"reshape: {in_shape} has {count} elements, which do not fit into {self.shape}")
        return {}, self.shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Shape]:
        return x.reshape(x.shape[0], *self.init(np.random.default_rng(0), x.shape[1:])[1]), x.shape

    def backward(self, params: Params, saved: Shape, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy.reshape(saved), {}

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0
