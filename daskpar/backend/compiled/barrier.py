"""Waiting for other threads without going to sleep: for waits that are shorter than waking up takes."""

from __future__ import annotations

import numpy as np

from daskpar.backend.compiled.atomic import APART, seen, tell
from daskpar.backend.compiled.kernel_cache import njit


@njit(nogil=True, cache=True)
def meet(counts: np.ndarray, thread: int, number: int, looks: int) -> bool:
    """Tell that `thread` has come to meeting `number`; whether all others came within so many looks."""
    tell(counts, thread * APART, number)
    for other in range(counts.size // APART):
        left = looks
        while seen(counts, other * APART) < number:
            left -= 1
            if left == 0:
                return False
    return True
