"""Convolutions of images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference.convolution import Geometry, Pair, extent
from daskpar.errors import InputError
from daskpar.nn.initialisers import initialiser
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.padding import Padding, Sizes, padded, pair, require_padding
from daskpar.nn.partition_rules import Width, Window
from daskpar.nn.rectifying import Rectifying
from daskpar.nn.sizes import require_room
from daskpar.registry import register


@register("conv2d")
@dataclass(frozen=True)
class Conv2d(Rectifying):
    """2-d convolution (cross-correlation) of images, with channels last.

    Args:
        channels: Number of output channels.
        kernel: Height and width of the kernel, one number or (height, width). Default: 3.
        stride: Pixels between neighbouring positions of the kernel, one number or (down, across). Default: 1.
        padding: Zeros around the image: "valid" (none), "same" (output size = input size / stride, rounded
            up), a number, (vertical, horizontal), or ((above, below), (left, right)). Default: "valid".
        dilation: Pixels between neighbouring elements of the kernel. Default: 1.
        groups: Split the channels into groups that are convolved alone. As many groups as channels give a
            depthwise convolution. Default: 1.
        bias: Add a learned bias. Default: True.
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros". Default: "he".
        init_bias: Initialiser of the bias. Default: "zeros".

    Shape:
        - Input: (rows, height, width, in_channels).
        - Output: (rows, height', width', channels), with
          height' = (height + padding − dilation·(kernel − 1) − 1) // stride + 1. `padding` counts both sides.

    Parameters:
        - weight: (kernel height, kernel width, in_channels / groups, channels).
        - bias: (channels,).

    Raises:
        InputError: The input is no image, the kernel does not fit into it, or `groups` does not divide both
            numbers of channels.

    Example:
        Sums over windows of 2 by 2 pixels:

        >>> import numpy as np
        >>> from daskpar import Context, Conv2d
        >>> layer = Conv2d(channels=1, kernel=2, bias=False)
        >>> x = np.arange(9.0).reshape(1, 3, 3, 1)  # 0 1 2, 3 4 5, 6 7 8
        >>> y, _ = layer.forward({"weight": np.ones((2, 2, 1, 1))}, x, Context())
        >>> y[0, :, :, 0]
        array([[ 8., 12.],
               [20., 24.]])

    Reference:
        LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".
        Yu and Koltun 2016, "Multi-scale context aggregation by dilated convolutions".
        https://arxiv.org/abs/1511.07122
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
        """Return stride, padding and dilation for an image of this height and width."""
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
        """Raise InputError for images that are too large for the memory with the zeros around them."""
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
        geometry = self.geometry(x.shape[1:3])
        return kernels(x).conv2d(x, params["weight"], params.get("bias"), geometry, rectify), x

    def backward_rectified(
        self, params: Params, saved: Array, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        geometry = self.geometry(saved.shape[1:3])
        dx, weight, bias = kernels(dy).conv2d_backward(
            saved, params["weight"], dy, geometry, ctx.input_gradient, rectified
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
        geometry = self.geometry((in_shape[0], in_shape[1]))
        size = geometry.dilation[0] * (pair(self.kernel)[0] - 1) + 1
        return Window(size, geometry.stride[0], geometry.padding[0][0])

    def tile(self, edges: Pair, in_shape: Shape) -> Layer:
        return replace(self, padding=(edges, self.geometry((in_shape[0], in_shape[1])).padding[1]))


def image_shape(layer: str, in_shape: Shape) -> tuple[int, int, int]:
    """Return (height, width, channels). Raise InputError for an example that is no image."""
    if len(in_shape) != 3:
        raise InputError(
            f"{layer}: expected images (height, width, channels), got shape {in_shape}; a grey image needs "
            "a last axis of 1"
        )
    return in_shape[0], in_shape[1], in_shape[2]
