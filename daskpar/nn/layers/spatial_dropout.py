"""Dropout of whole channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.errors import InputError
from daskpar.nn.layer import Layer, Params, Shape
from daskpar.nn.layers.dropout import Dropout
from daskpar.nn.partition_rules import ROW, Window
from daskpar.registry import register


@register("spatial_dropout")
@dataclass(frozen=True)
class SpatialDropout(Dropout):
    """Spatial dropout: set whole channels of an image, or features of a sequence, to zero.

    Neighbouring pixels are alike, so zeros at single pixels would hide little. The other channels are scaled
    by 1 / (1 − rate). It is active in training only. Every layout draws the same, as for `Dropout`.

    Args:
        rate: Probability of zero, at least 0 and below 1. It is rounded to a multiple of 1/65536.

    Shape:
        - Input: (rows, height, width, channels) or (rows, positions, channels).
        - Output: the same.

    Raises:
        InputError: `rate` is not in [0, 1), or the input has no axis besides the channels.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, SpatialDropout
        >>> x = np.ones((1, 5, 64))  # 5 positions, 64 features
        >>> y, _ = SpatialDropout(0.5).forward({}, x, Context(training=True))
        >>> bool((y == y[:, :1]).all())  # all positions drop the same features
        True

    Reference:
        Tompson et al. 2015, "Efficient object localization using convolutional networks", section 3.2.
        https://arxiv.org/abs/1411.4280
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        if len(in_shape) < 2:
            raise InputError(
                f"spatial_dropout: expected images or sequences, got shape {in_shape}; use dropout instead"
            )
        return {}, in_shape

    def _drawn(self, shape: Shape) -> Shape:
        return (shape[0], *(1,) * (len(shape) - 2), shape[-1])

    def window(self, in_shape: Shape) -> Window | None:
        return ROW

    def share(self, start: int, stop: int, length: int) -> Layer:
        """Return the layer itself: all positions share one draw."""
        return self
