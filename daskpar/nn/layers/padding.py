"""Padding of windows over images and sequences."""

from __future__ import annotations

from typing import Any

from daskpar.backend.kernels.reference.convolution import Pair
from daskpar.errors import InputError

Sizes = int | tuple[int, int]
"""One number for both axes, or (height, width)."""
PADDINGS = ("valid", "same", "causal")
Padding = Sizes | str | tuple[Pair, Pair]
"""A name, one number, (vertical, horizontal), or ((above, below), (left, right))."""


def pair(value: object) -> Any:
    """Return a number twice, and a pair unchanged."""
    return (value, value) if isinstance(value, int) else value


def require_padding(layer: str, padding: Padding) -> None:
    """Raise InputError for an unknown name of padding, or for negative numbers."""
    if isinstance(padding, str):
        if padding not in PADDINGS:
            raise InputError(f"{layer}.padding={padding!r} is not known; use valid, same, or a number")
    elif min(min(pair(edge)) for edge in pair(padding)) < 0:
        raise InputError(f"{layer}.padding={padding} must not be negative; to remove pixels, use crop")


def padded(layer: str, padding: Padding, image: Pair, taps: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """Return the zeros ((above, below), (left, right)) that a padding means for an image.

        valid    none
        same     as many as give an output of the size image / stride, rounded up
        causal   all of them before, so that no output sees later positions

    Args:
        layer: Name of the layer in messages.
        padding: Name or numbers.
        image: Height and width of the image.
        taps: Extent of the kernel, dilation included.
        stride: Pixels between neighbouring positions of the kernel.
    """
    if isinstance(padding, int | tuple):
        down, across = pair(padding)
        return pair(down), pair(across)
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "causal":
        return (taps[0] - 1, 0), (taps[1] - 1, 0)
    require_padding(layer, padding)
    out = []
    for size, reach, step in zip(image, taps, stride, strict=True):
        missing = max(0, (-(-size // step) - 1) * step + reach - size)
        out.append((missing // 2, missing - missing // 2))
    return out[0], out[1]
