"""The smallest epsilon that keeps a division by a root of squares from going wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from daskpar.errors import InputError


def check_epsilons(precision: str, layers: Iterable[Any], optimizers: Iterable[Any]) -> None:
    """Refuse an `epsilon` of layers or optimizers that is too small for `precision`.

    A layer adds it to a variance, so it must be a number of that precision. An optimizer adds it to the root
    of squares of gradients: below it, squares may be 0 where gradients are not, and a step would be that of a
    division by nearly nothing.
    """
    tiny = float(np.finfo(precision).tiny)
    for least, parts in ((tiny, layers), (10 * math.sqrt(tiny), optimizers)):
        for part in parts:
            epsilon = getattr(part, "epsilon", 1.0)
            if epsilon < least:
                raise InputError(
                    f"{part.kind}.epsilon={epsilon} is too small for precision {precision}; use "
                    f"{_rounded_up(least):.0e} or more"
                )


def _rounded_up(least: float) -> float:
    """The next power of ten."""
    return float(f"1e{math.ceil(math.log10(least))}")
