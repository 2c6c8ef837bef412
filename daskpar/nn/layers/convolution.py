"""Convolutions over sequences and images, and their transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference.convolution import Geometry, Pair, extent
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.rectifying import Rectifying
from daskpar.nn.layers.padding import Padding, Sizes, padded, pair, require_padding
from daskpar.nn.partition_rules import Width, Window
from daskpar.nn.sizes import require_room
from daskpar.registry import register


@register("conv2d")
@dataclass(frozen=True)
class Conv2d(Rectifying):
    """Convolution (cross-correlation) of images.

    (rows, height, width, in) -> (rows, height', width', channels). `padding`: zeros on every side, or so many
    ((above, below), (left, right)), `valid` (none) or `same`. `groups` cuts the channels into parts that see
    only each other; as many groups as channels make it depthwise. Parameters: weight (kernel, kernel,
    in / groups, channels), bias (channels,). LeCun et al. 1989; dilation: Yu and Koltun 2016.
    """

    channels: int
    kernel: Sizes = 3
    stride: Sizes = 1
    padding: Padding = "valid"
    dilation: Sizes = 1
    groups: int = 1
    bias: bool = True
    init_weight: str = "he"
    init_bias: str = "zeros"

    def __post_init__(self) -> None:
        sizes = {"kernel": self.kernel, "stride": self.stride, "dilation": self.dilation}
        for name, value in {**sizes, "channels": self.channels, "groups": self.groups}.items():
            require_positive(self.kind, **{name: min(pair(value))})
        require_padding(self.kind, self.padding)
        if self.channels % self.groups:
            raise InputError(f"{self.kind}: groups={self.groups} does not divide channels={self.channels}")
        initialiser(self.init_weight), initialiser(self.init_bias)

    def geometry(self, image: Pair) -> Geometry:
        """Return the moves of the kernel over an image of this height and width."""
        stride, dilation = pair(self.stride), pair(self.dilation)
        kernel = pair(self.kernel)
        taps = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
        return Geometry(stride, padded(self.kind, self.padding, image, taps, stride), dilation, self.groups)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, inside = image_shape(self.kind, in_shape)
        if inside % self.groups:
            raise InputError(
                f"{self.kind}: groups={self.groups} does not divide the {inside} channels of {in_shape}"
            )
        out = self.geometry((height, width)).output((height, width), pair(self.kernel))
        if min(out) < 1:
            raise InputError(
                f"{self.kind}: a kernel of {pair(self.kernel)} does not fit into images of {in_shape}; use a "
                "smaller kernel, or padding: same"
            )
        self._require_room((height, width), inside)
        return self._parameters(rng, inside // self.groups), (*out, self.channels)

    def _require_room(self, image: Pair, channels: int) -> None:
        """Refuse images that would be too large with the zeros around them."""
        size = extent(image, self.geometry(image))
        require_room(f"{self.kind}: an image with padding={self.padding}", (*size, channels))

    def _parameters(self, rng: np.random.Generator, inside: int) -> Params:
        kernel = pair(self.kernel)
        fan = (math.prod(kernel) * inside, math.prod(kernel) * self.channels // self.groups)
        params = {"weight": initialiser(self.init_weight)(rng, (*kernel, inside, self.channels), *fan)}
        if self.bias:
            params["bias"] = initialiser(self.init_bias)(rng, (self.channels,), *fan)
        return params

    def forward_rectified(self, params: Params, x: Array, ctx: Context, rectify: bool) -> tuple[Array, Array]:
        how = self.geometry(x.shape[1:3])
        return kernels(x).conv2d(x, params["weight"], params.get("bias"), how, rectify), x

    def backward_rectified(
        self, params: Params, saved: Array, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        how = self.geometry(saved.shape[1:3])
        dx, weight, bias = kernels(dy).conv2d_backward(
            saved, params["weight"], dy, how, ctx.input_gradient, rectified
        )
        return dx, {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * math.prod(pair(self.kernel)) * in_shape[-1] // self.groups * math.prod(out_shape)

    def width(self) -> Width | None:
        return Width("channels", (("weight", 3), ("bias", 0))) if self.groups == 1 else None

    def joins(self) -> Width | None:
        return Width("rows", (("weight", 2),), sums=True, once=("bias",)) if self.groups == 1 else None

    def part(self, index: int, parts: int) -> Layer:
        return replace(self, channels=self.channels // parts)

    def window(self, in_shape: Shape) -> Window | None:
        how = self.geometry((in_shape[0], in_shape[1]))
        size = how.dilation[0] * (pair(self.kernel)[0] - 1) + 1
        return Window(size, how.stride[0], how.padding[0][0])

    def tile(self, edges: Pair, in_shape: Shape) -> Layer:
        return replace(self, padding=(edges, self.geometry((in_shape[0], in_shape[1])).padding[1]))


@register("conv_transpose2d")
@dataclass(frozen=True)
class ConvTranspose2d(Conv2d):
    """The transpose of a convolution (Zeiler et al. 2010): what its backward pass does to a gradient.

    (rows, height, width, in) -> (rows, height·stride, width·stride, channels) with `padding: same`, and
    (height - 1)·stride + kernel - 2·padding otherwise. Parameters: weight (kernel, kernel, channels, in),
    bias (channels,).
    """

    padding: Padding = "same"
    rectifies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups != 1:
            raise InputError(f"{self.kind}.groups={self.groups}; only 1 is there")

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, inside = image_shape(self.kind, in_shape)
        out = self._output((height, width))
        if min(out) < 1:
            raise InputError(f"{self.kind}: padding={self.padding} leaves nothing of images of {in_shape}")
        self._require_room(out, self.channels)
        params = self._parameters(rng, inside)
        params["weight"] = params["weight"].swapaxes(2, 3)
        return params, (*out, self.channels)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        image = self._output(x.shape[1:3])
        y = kernels(x).conv2d_input_gradient(x, params["weight"], image, self.geometry(image))
        if self.bias:
            y += params["bias"]
        return y, x

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        ops, how = kernels(dy), self.geometry(dy.shape[1:3])
        grads = {"weight": ops.conv2d_weight_gradient(dy, saved, params["weight"].shape, how)}
        if self.bias:
            grads["bias"] = array_module(dy).sum(dy, axis=(0, 1, 2))
        return (ops.conv2d(dy, params["weight"], None, how) if ctx.input_gradient else None), grads

    def _output(self, image: Pair) -> Pair:
        """The image whose convolution would be as large as `image`."""
        stride, kernel, dilation = pair(self.stride), pair(self.kernel), pair(self.dilation)
        if self.padding == "same":
            return image[0] * stride[0], image[1] * stride[1]
        (top, bottom), (left, right) = self.geometry(image).padding
        height = (image[0] - 1) * stride[0] + dilation[0] * (kernel[0] - 1) + 1 - top - bottom
        return height, (image[1] - 1) * stride[1] + dilation[1] * (kernel[1] - 1) + 1 - left - right

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * math.prod(pair(self.kernel)) * self.channels * math.prod(in_shape)

    def width(self) -> Width | None:
        return Width("channels", (("weight", 2), ("bias", 0)))

    def joins(self) -> Width | None:
        return Width("rows", (("weight", 3),), sums=True, once=("bias",))

    def window(self, in_shape: Shape) -> Window | None:
        return None  # an output row is made from a changing number of input rows


@register("conv1d")
@dataclass(frozen=True)
class Conv1d(Rectifying):
    """Convolution of sequences: (rows, positions, in) -> (rows, positions', channels).

    `padding`: a number, `valid`, `same`, or `causal` (no output sees what comes after it). Parameters: weight
    (kernel, in / groups, channels), bias (channels,).
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int | str = "valid"
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    init_weight: str = "he"
    init_bias: str = "zeros"

    def __post_init__(self) -> None:
        require_positive(self.kind, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        require_padding(self.kind, self.padding)
        try:
            _ = self._flat
        except InputError as error:
            raise InputError(str(error).replace("conv2d", self.kind)) from None

    @cached_property
    def _flat(self) -> Conv2d:
        """The same over images of one row."""
        padding = (0, self.padding) if isinstance(self.padding, int) else self.padding
        rest = (self.groups, self.bias, self.init_weight, self.init_bias)
        return Conv2d(self.channels, (1, self.kernel), (1, self.stride), padding, (1, self.dilation), *rest)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) != 2:
            raise InputError(f"{self.kind}: expected sequences (positions, features), got shape {in_shape}")
        try:
            params, shape = self._flat.init(rng, (1, *in_shape))
        except InputError as error:
            message = str(error).replace("conv2d", self.kind).replace("images", "sequences")
            message = message.replace(str((1, *in_shape)), str(in_shape))
            raise InputError(message.replace(str((1, self.kernel)), str(self.kernel))) from None
        params["weight"] = params["weight"][0]
        return params, shape[1:]

    def forward_rectified(self, params: Params, x: Array, ctx: Context, rectify: bool) -> tuple[Array, Array]:
        y, saved = self._flat.forward_rectified(_lifted(params), x[:, None], ctx, rectify)
        return y[:, 0], saved

    def backward_rectified(
        self, params: Params, saved: Array, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        dx, grads = self._flat.backward_rectified(_lifted(params), saved, dy[:, None], ctx, rectified)
        grads["weight"] = grads["weight"][0]
        return (None if dx is None else dx[:, 0]), grads

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        """Kept where there are as many positions as before."""
        out = self._flat.geometry((1, x.shape[1])).output((1, x.shape[1]), (1, self.kernel))
        return mask if out[1] == x.shape[1] else None

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * self.kernel * in_shape[-1] // self.groups * math.prod(out_shape)

    def width(self) -> Width | None:
        return Width("channels", (("weight", 2), ("bias", 0))) if self.groups == 1 else None

    def joins(self) -> Width | None:
        return Width("rows", (("weight", 1),), sums=True, once=("bias",)) if self.groups == 1 else None

    def part(self, index: int, parts: int) -> Layer:
        return replace(self, channels=self.channels // parts)


def _lifted(params: Params) -> Params:
    return {**params, "weight": params["weight"][None]}


def image_shape(layer: str, in_shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels), or an error that says what images look like."""
    if len(in_shape) != 3:
        raise InputError(
            f"{layer}: expected images (height, width, channels), got shape {in_shape}; a grey image needs "
            "a last axis of 1"
        )
    return in_shape[0], in_shape[1], in_shape[2]
