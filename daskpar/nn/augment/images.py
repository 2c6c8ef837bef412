"""What layers that vary images share: draws for each row, and moving each image by its own amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.backend.random import whole_numbers
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.pad import image
from daskpar.nn.partition_rules import EACH, Width


@dataclass(frozen=True)
class Augmentation(Layer):
    """A layer on images (rows, height, width, channels) that treats all channels of a pixel alike.

    What it draws for a row depends on (seed, step, place in the network, row of the global batch) and on
    nothing else, so any cut of a batch draws the same.
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        image(self.kind, in_shape)
        return {}, in_shape

    def width(self) -> Width | None:
        return EACH


def draws(ctx: Context, x: Array, *below: int) -> list[Array]:
    """For each of `below` a whole number from 0 to below − 1 for every row of `x`: (rows,), beside `x`."""
    numbers = whole_numbers(ctx.seed, ctx.step, ctx.path, ctx.row, x.shape[0], below)
    return [array_module(x).asarray(numbers[:, j]) for j in range(len(below))]


def moved(x: Array, top: Array, left: Array, height: int, width: int) -> Array:
    """From each image the `height` by `width` pixels from its own (top, left) on; zero outside of the image.

    `top` and `left`: (rows,), also negative. The adjoint is the same with −top, −left and the size of `x`.
    """
    xp = array_module(x)
    vertical, horizontal = top[:, None] + xp.arange(height), left[:, None] + xp.arange(width)
    inside = within(vertical, 0, x.shape[1])[:, :, None] & within(horizontal, 0, x.shape[2])[:, None, :]
    y = pixels(x, vertical.clip(0, x.shape[1] - 1), horizontal.clip(0, x.shape[2] - 1))
    y *= inside[..., None]
    return y


def pixels(x: Array, vertical: Array, horizontal: Array) -> Array:
    """From each image the pixels where some of its rows and columns cross: (rows, n, m, channels).

    `vertical` (rows, n), `horizontal` (rows, m): which rows and columns of pixels. Taking whole pixels from
    one long list is four times as fast as indexing by three arrays.
    """
    rows, height, width, channels = x.shape
    line = array_module(x).arange(rows)[:, None] * height + vertical
    place = line[:, :, None] * width + horizontal[:, None, :]
    return x.reshape(-1, channels).take(place, axis=0)


def within(places: Array, start: Array | int, stop: Array | int) -> Array:
    """Which of `places` lie from `start` to `stop` − 1."""
    return (places >= start) & (places < stop)
