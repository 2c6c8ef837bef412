"""Padding and cropping of images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.layer import Context, Layer, Params, Shape
from daskpar.nn.partition_rules import EACH, Width, Window
from daskpar.registry import register

Edges = int | tuple[int, ...]
"""One number for both edges, or (before, after)."""
Pairs = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Edged(Layer):
    """A layer that changes the edges of images (rows, height, width, channels).

    Args:
        rows: Rows of pixels at either edge, or (above, below).
        columns: Columns of pixels at either edge, or (left, right).
    """

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
        """The pairs (above, below) and (left, right)."""
        return self.rows, self.columns  # type: ignore[return-value]

    def flops(self, in_shape: Shape, out_shape: Shape) -> int:
        return 0

    def width(self) -> Width | None:
        return EACH


@register("pad")
@dataclass(frozen=True)
class Pad(Edged):
    """Zero padding: rows and columns of zeros around each image.

    Args:
        rows: Number of rows above and below, one number or (above, below).
        columns: Number of columns left and right, one number or (left, right).

    Shape:
        - Input: (rows, height, width, channels).
        - Output: (rows, height + above + below, width + left + right, channels).

    Raises:
        InputError: A number is negative, or the input is no image.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Pad
        >>> y, _ = Pad(rows=0, columns=(1, 2)).forward({}, np.ones((1, 2, 2, 1)), Context())
        >>> y[0, :, :, 0]
        array([[0., 1., 1., 0., 0.],
               [0., 1., 1., 0., 0.]])
    """

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
    """Cropping: each image without rows and columns at its edges.

    Args:
        rows: Number of rows above and below, one number or (above, below).
        columns: Number of columns left and right, one number or (left, right).

    Shape:
        - Input: (rows, height, width, channels).
        - Output: (rows, height − above − below, width − left − right, channels).

    Raises:
        InputError: A number is negative, nothing is left, or the input is no image.

    Example:
        >>> import numpy as np
        >>> from daskpar import Context, Crop
        >>> x = np.arange(6.0).reshape(1, 2, 3, 1)  # 0 1 2, 3 4 5
        >>> y, _ = Crop(rows=(0, 1), columns=1).forward({}, x, Context())
        >>> y[0, :, :, 0]
        array([[1.]])
    """

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        height, width, channels = image("crop", in_shape)
        rows, columns = self.edges
        if height <= sum(rows) or width <= sum(columns):
            raise InputError(
                f"crop: rows={rows} and columns={columns} leave nothing of shape {in_shape}; crop less"
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
    """Return `x` with zeros around every image."""
    return array_module(x).pad(x, ((0, 0), *edges, (0, 0)))


def cropped(x: Array, edges: Pairs) -> Array:
    """Return a view of `x` without the edges of every image."""
    (above, below), (left, right) = edges
    height, width = x.shape[1:3]
    return x[:, above : height - below, left : width - right]


def image(layer: str, in_shape: Shape) -> tuple[int, int, int]:
    """Return (height, width, channels). Raise InputError for an example that is no image."""
    if len(in_shape) != 3:
        raise InputError(
            f"{layer}: expected images (height, width, channels), got shape {in_shape}; put it before a "
            "flatten, and give images of one colour a channel axis of length 1"
        )
    return in_shape
