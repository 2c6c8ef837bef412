"""Sums that can be added element by element, and still subtracted from each other without loss.

The squares of numbers around 10⁸ fill a float64 (2⁻⁵³), so the difference Σt² - (Σt)²/n is only rounding.
Here a sum is a pair of floats. The first holds only its leading 26 bits. The first floats of some 10⁷ chunks
of similar size are added without rounding, the second ones with an error of 2⁻⁷⁹ of the total.
"""

from __future__ import annotations

import math
from fractions import Fraction

_LEADING = 26  # bits; 27 remain for carries
_ROUNDING = Fraction(1, 2**74)  # of Σt²: the error that additions may have made

Pair = tuple[float, float]


def split(value: Fraction) -> Pair:
    """Return two floats that sum to `value`; NaN if it is beyond float64."""
    try:
        mantissa, exponent = math.frexp(float(value))
        high = math.ldexp(round(math.ldexp(mantissa, _LEADING)), exponent - _LEADING)
    except OverflowError:
        return math.nan, math.nan
    return high, float(value - Fraction(high))


def moments(count: float, pivot: float, total: float, squares: float) -> tuple[float, float, float, float]:
    """Return Σt and Σt², a pair each, of `count` numbers t.

    Args:
        count: Number of values, or the sum of their weights.
        pivot: A number near the values.
        total: Σ(t - pivot).
        squares: Σ(t - pivot)².
    """
    if not all(map(math.isfinite, (pivot, total, squares))):
        return (math.nan,) * 4
    n, p, s = Fraction(count), Fraction(pivot), Fraction(total)
    return *split(n * p + s), *split(n * p * p + 2 * p * s + Fraction(squares))


def spread(count: float, total: Pair, squares: Pair) -> float:
    """Return Σ(t - mean)² from the sums Σt and Σt²; 0 if it is unknown, or within rounding errors."""
    if not count or not all(map(math.isfinite, (*total, *squares))):
        return 0.0
    first, second = sum(map(Fraction, total), Fraction(0)), sum(map(Fraction, squares), Fraction(0))
    around = second - first * first / Fraction(count)
    return float(around) if around > _ROUNDING * second else 0.0
