"""A ReLU that is computed by the layers beside it."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.backend.array import Array
from daskpar.nn.layer import Context, Layer, Params, Saved
from daskpar.nn.layers.activations import ReLU
from daskpar.nn.rectifying import Rectifying


@dataclass(frozen=True)
class Rectified(Layer):
    """A layer that applies a ReLU to its output, to the gradient of its input, or to both.

    Args:
        layer: The layer.
        output: Apply the ReLU after it. Default: False.
        input: In the backward pass, apply the ReLU before it. Default: False.
    """

    layer: Rectifying
    output: bool = False
    input: bool = False

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        return self.layer.forward_rectified(params, x, ctx, self.output)

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return self.layer.backward_rectified(params, saved, dy, ctx, self.input)

    def mask(self, x: Array, mask: Array | None) -> Array | None:
        return self.layer.mask(x, mask)


@dataclass(frozen=True)
class DoneReLU(Layer):
    """A ReLU that the layer beside it applies.

    Args:
        forth: The layer before it applies it in the forward pass. Default: False.
        back: The layer after it applies it in the backward pass. Default: False.
    """

    forth: bool = False
    back: bool = False

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        return (x, x) if self.forth else ReLU().forward(params, x, ctx)

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return (dy, {}) if self.back else ReLU().backward(params, saved, dy, ctx)
