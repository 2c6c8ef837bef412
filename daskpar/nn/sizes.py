"""Sizes that a model may have: arrays are refused before they are allocated, not by the operating system."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from daskpar.errors import InputError

_PER_NUMBER = 16
"""Bytes for each number while parameters are drawn: a float64, and a copy of it."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@cache
def memory() -> int:
    """Bytes of memory that this process may use: the machine's, or what its container is limited to."""
    limits = []
    with suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits, default=2**40)


def require_room(what: str, shape: tuple[int, ...]) -> None:
    """Refuse an array of a shape that this machine has no memory for."""
    size = math.prod(shape) * _PER_NUMBER
    if size > memory():
        raise InputError(
            f"{what} of shape {shape} would take {size / 2**30:,.1f} GiB, this machine has "
            f"{memory() / 2**30:,.1f} GiB; use smaller sizes"
        )
