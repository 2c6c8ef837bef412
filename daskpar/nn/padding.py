"""Sizes of windows over images and sequences, and the zeros around these."""

from __future__ import annotations

from typing import Any

from daskpar.backend.reference.convolution import Pair
from daskpar.errors import InputError

Sizes = int | tuple[int, int]
"""One number for height and width, or one each."""
PADDINGS = ("valid", "same", "causal")
Padding = Sizes | str | tuple[Pair, Pair]
"""A name, sizes, or (above, below) and (left, right)."""


def pair(value: object) -> Any:
    """Two of a number; a pair as it is."""
    return (value, value) if isinstance(value, int) else value


def require_padding(layer: str, padding: Padding) -> None:
    """Refuse padding by a name that is not known, or by negative numbers."""
    if isinstance(padding, str):
        if padding not in PADDINGS:
            raise InputError(f"{layer}.padding={padding!r} is not known; use valid, same, or a number")
    elif min(min(pair(edge)) for edge in pair(padding)) < 0:
        raise InputError(f"{layer}.padding={padding} must not be negative; to take pixels away, use crop")


def padded(layer: str, padding: Padding, image: Pair, taps: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """Zeros before and after, down and across.

    `valid`: none; `same`: as many as make the output as large as the image / stride, rounded up; `causal`:
    all of them before, so that no output sees what comes after it. `taps`: the kernel's extent.
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
