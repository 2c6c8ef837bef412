"""The largest size of an array: larger ones are refused before the operating system ends the process."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from daskpar.errors import InputError

_PER_NUMBER = 16
"""Bytes for each element while parameters are drawn: a float64 and a copy of it."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@cache
def memory() -> int:
    """Return the bytes of memory that this process may use: all of the machine, or its container's limit."""
    limits = []
    with suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits, default=2**40)


def require_room(what: str, shape: tuple[int, ...]) -> None:
    """Raise InputError for an array that is larger than the memory of this machine.

    Args:
        what: Name of the array in the message, for example "parameters".
        shape: Shape of the array.
    """
    size = math.prod(shape) * _PER_NUMBER
    if size > memory():
        raise InputError(
            f"{what} of shape {shape} would take {size / 2**30:,.1f} GiB, this machine has "
            f"{memory() / 2**30:,.1f} GiB; use smaller sizes"
        )
