"""Pooling over windows of images and sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference.convolution import Geometry, Pair, extent, inside, surround, taps
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.padding import Padding, Sizes, padded, pair, require_padding
from daskpar.nn.partition_rules import EACH, Width, Window
from daskpar.nn.sizes import require_room
from daskpar.registry import register


@dataclass(frozen=True)
class Pool(Layer):
    """Base class of pooling over windows.

    Args:
        size: Size of a window.
        stride: Distance between neighbouring windows.
        padding: Zeros around the input.

    Shape:
        - Input: (rows, height, width, channels) or (rows, positions, channels).
        - Output: (rows, height', width', channels) or (rows, positions', channels).
    """

    size: Sizes = 2
    stride: Sizes | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        require_positive(self.kind, size=min(pair(self.size)), stride=min(self._stride))
        require_padding(self.kind, self.padding)
        edges = () if isinstance(self.padding, str) else pair(self.padding)
        if any(2 * max(pair(edge)) > size for edge, size in zip(edges, pair(self.size), strict=False)):
            raise InputError(f"{self.kind}.padding={self.padding} must be at most half of size={self.size}")

    @property
    def _stride(self) -> Pair:
        return pair(self.size if self.stride is None else self.stride)

    def geometry(self, shape: Shape) -> tuple[Pair, Geometry]:
        """Return the size of the windows, and stride and padding, for examples of a shape.

        A sequence is an image of one row.
        """
        size, stride, padding = pair(self.size), self._stride, self.padding
        if len(shape) == 2:
            size, stride = (1, size[1]), (1, stride[1])
            padding = (0, pair(padding)[1]) if isinstance(padding, int | tuple) else padding
        image = _image(shape)
        return size, Geometry(stride, padded(self.kind, padding, image, size, stride))

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) not in (2, 3):
            raise InputError(f"{self.kind}: expected images or sequences, got shape {in_shape}")
        size, geometry = self.geometry(in_shape)
        out = geometry.output(_image(in_shape), size)
        if min(out) < 1:
            raise InputError(
                f"{self.kind}: windows of {size} do not fit into {in_shape}; use smaller ones, or padding: "
                "same"
            )
        padded_size = (*extent(_image(in_shape), geometry), in_shape[-1])
        require_room(f"{self.kind}: an image with padding={self.padding}", padded_size)
        return {}, (*out[-len(in_shape) + 1 :], in_shape[-1])

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        return None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return math.prod(self.geometry(in_shape)[0]) * math.prod(out_shape)

    def width(self) -> Width | None:
        return EACH

    def window(self, in_shape: Shape) -> Window | None:
        size, geometry = self.geometry(in_shape)
        return Window(size[0], geometry.stride[0], geometry.padding[0][0]) if len(in_shape) == 3 else None

    def tile(self, edges: Pair, in_shape: Shape) -> Layer:
        return replace(self, padding=(edges, self.geometry(in_shape)[1].padding[1]))


@register("max_pool")
@dataclass(frozen=True)
class MaxPool(Pool):
    """Max pooling: the largest value of each window. The first of equal values receives the gradient.

    The output has no mask.

    Args:
        size: Size of a window, one number or (height, width). Default: 2.
        stride: Distance between neighbouring windows, one number or (down, across). None: the size of a
            window. Default: None.
        padding: "valid" (none), "same" (output size = input size / stride, rounded up), a number, or
            (vertical, horizontal), at most half the size of a window. Default: "valid".

    Shape:
        - Input: (rows, height, width, channels) or (rows, positions, channels).
        - Output: (rows, height', width', channels) or (rows, positions', channels), with
          height' = (height + padding − size) // stride + 1. `padding` counts both sides.

    Raises:
        InputError: A window does not fit into the input, or `padding` is more than half of it.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, MaxPool
        >>> x = np.array([1.0, 4.0, 2.0, 3.0]).reshape(1, 4, 1)  # a sequence of four positions
        >>> y, _ = MaxPool(2).forward({}, x, Context())
        >>> y.ravel()
        array([4., 3.])
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Shape]]:
        size, geometry = self.geometry(x.shape[1:])
        y, where = kernels(x).max_pool(_lifted(x), size, geometry)
        return _lowered(y, x.ndim), (where, x.shape)

    def backward(
        self, params: Params, saved: tuple[Array, Shape], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        where, shape = saved
        size, geometry = self.geometry(shape[1:])
        dx = kernels(dy).max_pool_backward(_lifted(dy), where, _image(shape[1:]), size, geometry)
        return _lowered(dx, dy.ndim), {}


@register("avg_pool")
@dataclass(frozen=True)
class AvgPool(Pool):
    """Average pooling: the mean of each window. Padding counts as zeros.

    The output has no mask.

    Args:
        size: Size of a window, one number or (height, width). Default: 2.
        stride: Distance between neighbouring windows, one number or (down, across). None: the size of a
            window. Default: None.
        padding: "valid" (none), "same" (output size = input size / stride, rounded up), a number, or
            (vertical, horizontal), at most half the size of a window. Default: "valid".

    Shape:
        - Input: (rows, height, width, channels) or (rows, positions, channels).
        - Output: (rows, height', width', channels) or (rows, positions', channels), with
          height' = (height + padding − size) // stride + 1. `padding` counts both sides.

    Raises:
        InputError: A window does not fit into the input, or `padding` is more than half of it.

    Example:
        >>> import numpy as np
        >>> from daskpar import AvgPool, Context
        >>> x = np.array([1.0, 4.0, 2.0, 3.0]).reshape(1, 4, 1)  # a sequence of four positions
        >>> y, _ = AvgPool(2).forward({}, x, Context())
        >>> y.ravel()
        array([2.5, 2.5])
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Shape]:
        size, geometry = self.geometry(x.shape[1:])
        out, padded = geometry.output(_image(x.shape[1:]), size), surround(_lifted(x), geometry)
        total = sum(padded[places] for _, _, places in taps(size, out, geometry))
        return _lowered(total * (1 / math.prod(size)), x.ndim), x.shape

    def backward(self, params: Params, saved: Shape, dy: Array, ctx: Context) -> tuple[Array, Params]:
        size, geometry = self.geometry(saved[1:])
        image, d_out = _image(saved[1:]), _lifted(dy * (1 / math.prod(size)))
        dx = array_module(dy).zeros((saved[0], *extent(image, geometry), saved[-1]), dtype=dy.dtype)
        for _, _, places in taps(size, d_out.shape[1:3], geometry):
            dx[places] += d_out
        return _lowered(inside(dx, image, geometry), dy.ndim), {}


def _image(shape: Shape) -> Pair:
    return (1, shape[0]) if len(shape) == 2 else (shape[0], shape[1])


def _lifted(x: Array) -> Array:
    return x[:, None] if x.ndim == 3 else x


def _lowered(x: Array, axes: int) -> Array:
    return x[:, 0] if axes == 3 else x
