"""Barrier with busy waiting, for waits that are shorter than the time to wake a thread."""

from __future__ import annotations

import numpy as np

from daskpar.backend.kernels.numba.atomic import APART, seen, tell
from daskpar.backend.kernels.numba.kernel_cache import njit


@njit(nogil=True, cache=True)
def meet(counts: np.ndarray, thread: int, number: int, looks: int) -> bool:
    """Mark that `thread` has reached barrier `number`, and return whether all others reach it in time.

    `counts` (threads * APART,) has the last barrier of each thread. The time is limited to `looks` polls.
    """
    tell(counts, thread * APART, number)
    for other in range(counts.size // APART):
        left = looks
        while seen(counts, other * APART) < number:
            left -= 1
            if left == 0:
                return False
    return True
