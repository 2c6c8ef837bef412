"""Normalisation by fixed numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape, require_positive
from daskpar.nn.layers.batch_norm import last_axis
from daskpar.nn.moments import spread
from daskpar.nn.partition_rules import EACH, ROW, Width, Window
from daskpar.registry import register

Numbers = float | tuple[float, ...]
"""One number for all channels, or one for each."""


@register("normalise")
@dataclass(frozen=True)
class Normalise(Layer):
    """Normalisation by fixed numbers: `y = (x − mean) / deviation`, in training and in prediction.

    Args:
        mean: One number for all channels, or one for each. Channels are the last axis.
        deviation: One number for all channels, or one for each. Above zero.

    Shape:
        - Input: (rows, ..., channels).
        - Output: the same.

    Raises:
        InputError: A deviation is not positive, or there is another number of means than of channels.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Normalise
        >>> layer = Normalise(mean=(10.0, 20.0), deviation=(1.0, 5.0))
        >>> y, _ = layer.forward({}, np.array([[12.0, 10.0]]), Context())
        >>> y
        array([[ 2., -2.]])
    """

    mean: Numbers
    deviation: Numbers

    def __post_init__(self) -> None:
        for name in ("mean", "deviation"):
            if not isinstance(getattr(self, name), int | float):
                object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        for value in self.deviation if isinstance(self.deviation, tuple) else (self.deviation,):
            require_positive("normalise", deviation=value)

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        channels = last_axis("normalise", in_shape)
        for name, value in (("mean", self.mean), ("deviation", self.deviation)):
            if isinstance(value, tuple) and len(value) != channels:
                raise InputError(
                    f"normalise.{name} has {len(value)} numbers for the {channels} channels of shape "
                    f"{in_shape}; give one number, or one for each channel"
                )
        return {}, in_shape

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        y = x - _beside(self.mean, x)
        y /= _beside(self.deviation, x)
        return y, None

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy / _beside(self.deviation, dy), {}

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 2 * math.prod(out_shape)

    def width(self) -> Width | None:
        """Return the split by channels. Numbers for each channel cannot be split."""
        return None if isinstance(self.mean, tuple) or isinstance(self.deviation, tuple) else EACH

    def window(self, in_shape: Shape) -> Window | None:
        return ROW


def _beside(numbers: Numbers, x: Array) -> Any:
    """Return the numbers in the form that `x` needs: a Python number, or an array on its device."""
    if not isinstance(numbers, tuple):
        return numbers
    return spread(array_module(x).asarray(numbers, dtype=x.dtype), x)
