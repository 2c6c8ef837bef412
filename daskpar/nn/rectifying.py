"""The contract of a layer that can apply a ReLU beside it in its own kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from daskpar.backend.array import Array
from daskpar.nn.context import Context, Params, Saved
from daskpar.nn.layer import Layer


@dataclass(frozen=True)
class Rectifying(Layer):
    """A layer that can apply a ReLU before or after it while its values are in the cache.

    It defines `forward_rectified` and `backward_rectified`. `forward` and `backward` are the same without the
    ReLU.
    """

    rectifies: ClassVar[bool] = True

    def forward_rectified(self, params: Params, x: Array, ctx: Context, rectify: bool) -> tuple[Array, Saved]:
        """Compute the output; with `rectify`, max(output, 0)."""
        raise TypeError(f"{type(self).__name__} has no forward_rectified")

    def backward_rectified(
        self, params: Params, saved: Saved, dy: Array, ctx: Context, rectified: bool
    ) -> tuple[Array, Params]:
        """Compute the gradients; with `rectified`, dx is zero where the input is not above zero."""
        raise TypeError(f"{type(self).__name__} has no backward_rectified")

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved]:
        return self.forward_rectified(params, x, ctx, False)

    def backward(self, params: Params, saved: Saved, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return self.backward_rectified(params, saved, dy, ctx, False)
