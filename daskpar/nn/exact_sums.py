"""Sums that may be added element by element and still be subtracted from each other.

The squares of numbers around 10⁸ fill a float64 (2⁻⁵³): what is left of Σt² - (Σt)²/n is rounding. Here a sum
is a pair of floats, the first with its leading 26 bits only. Pairs of some 10⁷ chunks of like size are added
without rounding in the first, and with 2⁻⁷⁹ of the total in the second.
"""

from __future__ import annotations

import math
from fractions import Fraction

_LEADING = 26  # bits, so that 27 are left for carries
_ROUNDING = Fraction(1, 2**74)  # of Σt²: what the additions may have lost

Pair = tuple[float, float]


def split(value: Fraction) -> Pair:
    """Two floats that sum to `value`; NaN where it is beyond float64."""
    try:
        mantissa, exponent = math.frexp(float(value))
        high = math.ldexp(round(math.ldexp(mantissa, _LEADING)), exponent - _LEADING)
    except OverflowError:
        return math.nan, math.nan
    return high, float(value - Fraction(high))


def moments(count: float, pivot: float, total: float, squares: float) -> tuple[float, float, float, float]:
    """Σt and Σt², a pair each, of `count` numbers t.

    `total`: Σ(t - pivot). `squares`: Σ(t - pivot)².
    """
    if not all(map(math.isfinite, (pivot, total, squares))):
        return (math.nan,) * 4
    n, p, s = Fraction(count), Fraction(pivot), Fraction(total)
    return *split(n * p + s), *split(n * p * p + 2 * p * s + Fraction(squares))


def spread(count: float, total: Pair, squares: Pair) -> float:
    """Σ(t - mean)² from the sums of Σt and Σt²; 0 where it is no more than rounding, or not known."""
    if not count or not all(map(math.isfinite, (*total, *squares))):
        return 0.0
    first, second = sum(map(Fraction, total), Fraction(0)), sum(map(Fraction, squares), Fraction(0))
    around = second - first * first / Fraction(count)
    return float(around) if around > _ROUNDING * second else 0.0
