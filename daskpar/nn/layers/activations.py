"""Element-wise activations: any shape in, the same shape out, no parameters."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import ALONE, EACH, ROW, Positions, Width, Window
from daskpar.registry import register


@dataclass(frozen=True)
class Activation(Layer):
    """A layer that treats each element alone."""

    def width(self) -> Width | None:
        return EACH

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def positions(self) -> Positions | None:
        return ALONE


@register("relu")
@dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0); the derivative at 0 is 0."""

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = array_module(x).maximum(x, 0)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return kernels(dy).relu_backward(saved, dy), {}


@register("tanh")
@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(x)."""

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = array_module(x).tanh(x)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * (1 - saved * saved), {}


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), through tanh so that no input overflows."""
    y = array_module(x).tanh(x * 0.5)
    y += 1
    y *= 0.5
    return y


@register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * (saved * (1 - saved)), {}


@register("silu")
@dataclass(frozen=True)
class SiLU(Activation):
    """x · sigmoid(x) (Elfwing et al. 2018), also called swish."""

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Array]]:
        gate = sigmoid(x)
        return x * gate, (x, gate)

    def backward(
        self, params: Params, saved: tuple[Array, Array], dy: Array, ctx: Context
    ) -> tuple[Array, Params]:
        x, gate = saved
        return dy * (gate * (1 + x * (1 - gate))), {}


@register("gelu")
@dataclass(frozen=True)
class GELU(Activation):
    """Gaussian error linear unit, in the tanh form (Hendrycks and Gimpel 2016, sec. 2), as in GPT-2."""

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        return kernels(x).gelu_with_slope(x) if ctx.backward else (kernels(x).gelu(x), None)

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * saved, {}
