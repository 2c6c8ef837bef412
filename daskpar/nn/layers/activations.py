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
    """A layer that computes each element alone."""

    def width(self) -> Width | None:
        return EACH

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def positions(self) -> Positions | None:
        return ALONE


@register("relu")
@dataclass(frozen=True)
class ReLU(Activation):
    """Rectified linear unit: `y = max(x, 0)`. The derivative at 0 is 0.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, ReLU
        >>> y, _ = ReLU().forward({}, np.array([[-2.0, 0.0, 3.0]]), Context())
        >>> y
        array([[0., 0., 3.]])
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = array_module(x).maximum(x, 0)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return kernels(dy).relu_backward(saved, dy), {}


@register("tanh")
@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent: `y = tanh(x)`, between −1 and 1.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Tanh
        >>> y, _ = Tanh().forward({}, np.array([[-9.0, 0.0, 9.0]]), Context())
        >>> y.round(3)
        array([[-1.,  0.,  1.]])
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = array_module(x).tanh(x)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * (1 - saved * saved), {}


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), computed through tanh so that no input overflows."""
    y = array_module(x).tanh(x * 0.5)
    y += 1
    y *= 0.5
    return y


@register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Activation):
    """Logistic function: `y = 1 / (1 + exp(−x))`, between 0 and 1.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Sigmoid
        >>> y, _ = Sigmoid().forward({}, np.array([[-9.0, 0.0, 9.0]]), Context())
        >>> y.round(3)
        array([[0. , 0.5, 1. ]])
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * (saved * (1 - saved)), {}


@register("silu")
@dataclass(frozen=True)
class SiLU(Activation):
    """Sigmoid linear unit, also called swish: `y = x · sigmoid(x)`.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, SiLU
        >>> y, _ = SiLU().forward({}, np.array([[-9.0, 0.0, 9.0]]), Context())
        >>> y.round(2)
        array([[-0.,  0.,  9.]])

    Reference:
        Elfwing, Uchibe and Doya 2018, "Sigmoid-weighted linear units for neural network function
        approximation in reinforcement learning". https://arxiv.org/abs/1702.03118
    """

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
    """Gaussian error linear unit, in its tanh form, as in GPT-2.

    `y = x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`.

    Shape:
        - Input: (rows, ...).
        - Output: the same.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, GELU
        >>> y, _ = GELU().forward({}, np.array([[-9.0, 0.0, 1.0, 9.0]]), Context())
        >>> y.round(2)
        array([[-0.  ,  0.  ,  0.84,  9.  ]])

    Reference:
        Hendrycks and Gimpel 2016, "Gaussian error linear units (GELUs)", section 2.
        https://arxiv.org/abs/1606.08415
    """

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Array]:
        return kernels(x).gelu_with_slope(x) if ctx.backward else (kernels(x).gelu(x), None)

    def backward(self, params: Params, saved: Array, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy * saved, {}
