"""Transposed convolutions of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.backend.kernels.reference.convolution import Pair
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Params, Shape
from daskpar.nn.layers.convolution import Conv2d, image_shape
from daskpar.nn.layers.padding import Padding, pair
from daskpar.nn.partition_rules import Width, Window
from daskpar.registry import register


@register("conv_transpose2d")
@dataclass(frozen=True)
class ConvTranspose2d(Conv2d):
    """Transposed 2-d convolution: the gradient of a `Conv2d` by its input, used to enlarge images.

    Args:
        channels: Number of output channels.
        kernel: Height and width of the kernel, one number or (height, width). Default: 3.
        stride: Factor of enlargement, one number or (down, across). Default: 1.
        padding: "same", or pixels that are cut off the output: "valid" (none), a number, (vertical,
            horizontal) or ((above, below), (left, right)). Default: "same".
        dilation: Pixels between neighbouring elements of the kernel. Default: 1.
        groups: Must be 1. Default: 1.
        bias: Add a learned bias. Default: True.
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros". Default: "he".
        init_bias: Initialiser of the bias. Default: "zeros".

    Shape:
        - Input: (rows, height, width, in_channels).
        - Output: (rows, height', width', channels), with height' = height·stride for "same", and
          height' = (height − 1)·stride + dilation·(kernel − 1) + 1 − padding otherwise. `padding` counts both
          sides.

    Parameters:
        - weight: (kernel height, kernel width, channels, in_channels).
        - bias: (channels,).

    Raises:
        InputError: The input is no image, `groups` is not 1, or `padding` leaves no pixels.

    Example:
        Each pixel becomes 2 by 2 pixels:

        >>> import numpy as np
        >>> from daskpar import Context, ConvTranspose2d
        >>> layer = ConvTranspose2d(channels=1, kernel=2, stride=2, bias=False)
        >>> x = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
        >>> y, _ = layer.forward({"weight": np.ones((2, 2, 1, 1))}, x, Context())
        >>> y[0, :, :, 0]
        array([[1., 1., 2., 2.],
               [1., 1., 2., 2.]])

    Reference:
        Zeiler et al. 2010, "Deconvolutional networks".
    """

    padding: Padding = "same"
    rectifies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups != 1:
            raise InputError(f"{self.kind}.groups={self.groups} must be 1")

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
        ops, geometry = kernels(dy), self.geometry(dy.shape[1:3])
        grads = {"weight": ops.conv2d_weight_gradient(dy, saved, params["weight"].shape, geometry)}
        if self.bias:
            grads["bias"] = array_module(dy).sum(dy, axis=(0, 1, 2))
        return (ops.conv2d(dy, params["weight"], None, geometry) if ctx.input_gradient else None), grads

    def _output(self, image: Pair) -> Pair:
        """Return the size of the image whose convolution has the size `image`."""
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
        return None  # the number of input rows behind an output row varies
