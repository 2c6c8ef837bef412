"""Convolutions of sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from daskpar.backend.array import Array
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.convolution import Conv2d
from daskpar.nn.layers.padding import require_padding
from daskpar.nn.partition_rules import Width
from daskpar.nn.rectifying import Rectifying
from daskpar.registry import register


@register("conv1d")
@dataclass(frozen=True)
class Conv1d(Rectifying):
    """1-d convolution (cross-correlation) of sequences, with features last.

    The mask of the input is kept if the output has as many positions.

    Args:
        channels: Number of output features.
        kernel: Length of the kernel in positions. Default: 3.
        stride: Positions between neighbouring positions of the kernel. Default: 1.
        padding: Zeros around the sequence: "valid" (none), "same" (output length = input length / stride,
            rounded up), "causal" (all at the start: no output sees later positions), or a number for either
            side. Default: "valid".
        dilation: Positions between neighbouring elements of the kernel. Default: 1.
        groups: Split the features into groups that are convolved alone. Default: 1.
        bias: Add a learned bias. Default: True.
        init_weight: Initialiser of the weights: "he", "glorot", "lecun", "normal" or "zeros". Default: "he".
        init_bias: Initialiser of the bias. Default: "zeros".

    Shape:
        - Input: (rows, positions, in_features).
        - Output: (rows, positions', channels), with
          positions' = (positions + padding − dilation·(kernel − 1) − 1) // stride + 1. `padding` counts both
          sides.

    Parameters:
        - weight: (kernel, in_features / groups, channels).
        - bias: (channels,).

    Raises:
        InputError: The input is no sequence, the kernel does not fit into it, or `groups` does not divide
            both numbers of features.

    Example:
        Differences between neighbours:

        >>> import numpy as np
        >>> from daskpar import Context, Conv1d
        >>> layer = Conv1d(channels=1, kernel=2, bias=False)
        >>> params = {"weight": np.array([-1.0, 1.0]).reshape(2, 1, 1)}
        >>> y, _ = layer.forward(params, np.array([1.0, 4.0, 9.0]).reshape(1, 3, 1), Context())
        >>> y.ravel()
        array([3., 5.])
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
        """The same convolution over images of one row."""
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
        """Return the mask if the output has as many positions as the input, else None."""
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
