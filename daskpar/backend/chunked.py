"""Flat arrays worked on a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daskpar.backend.array import Array, array_module

_BLOCK = 32_768  # elements: a block of parameters, gradients, slots and scratch stays in a core's cache


def chunked(first: Array, *others: Array) -> Iterator[tuple[Array, ...]]:
    """Aligned pieces of flat arrays, small enough for the cache on a CPU, whole on a GPU."""
    size = first.shape[0]
    step = _BLOCK if array_module(first) is np else max(size, 1)
    for start in range(0, size, step):
        piece = slice(start, start + step)
        yield (first[piece], *(other[piece] for other in others))
