"""Flat arrays in pieces that fit a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daskpar.backend.array import Array, array_module

_BLOCK = 32_768  # elements: pieces of parameters, gradients, slots and scratch stay in a core's cache


def chunked(first: Array, *others: Array) -> Iterator[tuple[Array, ...]]:
    """Yield corresponding pieces of flat arrays (elements,), as views.

    A piece is small enough for a CPU's cache. On a GPU it is the whole array.
    """
    size = first.shape[0]
    step = _BLOCK if array_module(first) is np else max(size, 1)
    for start in range(0, size, step):
        piece = slice(start, start + step)
        yield (first[piece], *(other[piece] for other in others))
