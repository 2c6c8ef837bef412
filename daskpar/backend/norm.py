"""The norm of an array, also where the squares of its elements overflow."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.array import Array, array_module

SMALL = 1e-30
"""Sums of squares below this lose digits in float32; so do numbers a little smaller."""


def square_of(values: Array) -> float:
    """Return the sum of squares of an array (elements,), also where that of its dtype overflows."""
    square = float(array_module(values).dot(values, values))
    return square if SMALL < square < math.inf else norm_of(values) ** 2


def norm_of(values: Array) -> float:
    """Return the norm of an array (elements,).

    Where squares overflow or underflow, the elements are scaled first, as nrm2 of BLAS does.
    """
    xp = array_module(values)
    with np.errstate(over="ignore"):
        squares = float(xp.sum(values * values))
    if SMALL < squares < math.inf:
        return math.sqrt(squares)
    largest = float(xp.abs(values).max()) if values.size else 0.0
    if not 0 < largest < math.inf:
        return largest
    scaled = values * (1 / largest) if 1 / largest < math.inf else values / largest
    return largest * math.sqrt(float(xp.sum(scaled * scaled)))
