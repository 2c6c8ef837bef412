"""Rows and columns of pixels put around an image, or taken away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import EACH, Width, Window
from daskpar.registry import register

Edges = int | tuple[int, ...]
"""A number at each edge, or (before, after)."""
Pairs = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Edged(Layer):
    """A layer that changes the edges of images (rows, height, width, channels)."""

    rows: Edges
    columns: Edges

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            edges = getattr(self, name)
            pair = (edges, edges) if isinstance(edges, int) else tuple(edges)
            if len(pair) != 2 or min(pair) < 0:
                raise InputError(
                    f"{self.kind}.{name}={edges} must be a number or (before, after), at least 0"
                )
            object.__setattr__(self, name, pair)

    @property
    def edges(self) -> Pairs:
        """(above, below) and (left, right)."""
        return self.rows, self.columns  # type: ignore[return-value]

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0

    def width(self) -> Width | None:
        return EACH


@register("pad")
@dataclass(frozen=True)
class Pad(Edged):
    """Zeros around each image: `rows` of them above and below, `columns` of them left and right."""

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, channels = image("pad", in_shape)
        rows, columns = self.edges
        return {}, (height + sum(rows), width + sum(columns), channels)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, None]:
        return padded(x, self.edges), None

    def backward(self, params: Params, saved: None, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return cropped(dy, self.edges), {}

    def window(self, in_shape: Shape) -> Window | None:
        return Window(before=self.edges[0][0])

    def tile(self, edges: tuple[int, int], in_shape: Shape) -> Layer:
        return replace(self, rows=edges)


@register("crop")
@dataclass(frozen=True)
class Crop(Edged):
    """Each image without `rows` above and below and `columns` left and right."""

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, channels = image("crop", in_shape)
        rows, columns = self.edges
        if height <= sum(rows) or width <= sum(columns):
            raise InputError(
                f"crop: rows={rows} and columns={columns} leave nothing of shape {in_shape}; take less away"
            )
        return {}, (height - sum(rows), width - sum(columns), channels)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, None]:
        return cropped(x, self.edges), None

    def backward(self, params: Params, saved: None, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return padded(dy, self.edges), {}

    def window(self, in_shape: Shape) -> Window | None:
        return Window(before=-self.edges[0][0])

    def tile(self, edges: tuple[int, int], in_shape: Shape) -> Layer:
        return replace(self, rows=(0, 0))


def padded(x: Array, edges: Pairs) -> Array:
    """`x` with zeros around every image."""
    return array_module(x).pad(x, ((0, 0), *edges, (0, 0)))


def cropped(x: Array, edges: Pairs) -> Array:
    """A view of `x` without the edges of every image."""
    (above, below), (left, right) = edges
    height, width = x.shape[1:3]
    return x[:, above : height - below, left : width - right]


def image(layer: str, in_shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels) of an example, which must be an image."""
    if len(in_shape) != 3:
        raise InputError(
            f"{layer}: expected images (height, width, channels), got shape {in_shape}; put it before a "
            "flatten, and give images of one colour a channel axis of length 1"
        )
    return in_shape
