"""Which implementation of the few kernels worth writing suits an array.

`kernels(x).gelu(x)` runs compiled code for float32 arrays on the host, and `backend/reference`, which is
written in the functions of the array's own module, for everything else. Both give the same to 1e-6.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import numpy as np

from daskpar.backend import reference
from daskpar.backend.array import Array
from daskpar.backend.compiling import LOADING

logger = logging.getLogger("daskpar")


def kernels(x: Array) -> Any:
    """The module of kernels for arrays like `x`."""
    if type(x) is np.ndarray and x.dtype == np.float32:
        return _compiled()
    return reference


def are_compiled() -> bool:
    """Whether there is compiled code at all: without Numba there is none."""
    return _compiled() is not reference


@cache
def _compiled() -> Any:
    """The compiled kernels; the reference where Numba is not there, or switched off."""
    with LOADING:
        try:
            import numba
        except ImportError:
            return reference
        if numba.config.DISABLE_JIT:
            logger.warning("NUMBA_DISABLE_JIT is set: the reference kernels are used, which are slower")
            return reference
        from daskpar.backend import compiled

        return compiled
