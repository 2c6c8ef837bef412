"""Memory: how much of it there is, and freed memory kept at hand.

Every step frees and allocates arrays of the same sizes. glibc gives large blocks back to the system as soon
as they are free, and distributed's nannies ask it to do so sooner still (MALLOC_TRIM_THRESHOLD_=65536); each
step then waits for the kernel to hand out zeroed pages anew. Measured, 670,000 parameters with AdamW: an
update of 8.4 ms instead of 1.8.

Threads other than the first allocate from heaps of 64 MB, of which the last is given back whenever it is
empty, unless there is less room than the padding in the one before. Measured, a lane of the benchmark's CNN
in such a thread: 5,800 page faults a step, and 6 to 20 ms.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of mallopt's parameters, from malloc.h
_HEAP = 64 * 1024 * 1024  # bytes of address space to ask for at once; what is not used takes no memory
_LARGEST = 32 * 1024 * 1024  # bytes: the largest threshold for mapped blocks that glibc takes

_LIMITS = (  # of a container, in bytes: cgroups v1, then v2, as Dask's workers read them
    "memory/memory.limit_in_bytes",
    "memory/memory.soft_limit_in_bytes",
    "memory.max",
    "memory.high",
    "memory.low",
)


def available_memory() -> int:
    """Return the bytes that this process may still take, within the limits of its machine and container."""
    import psutil

    return min((psutil.virtual_memory().available, *_limits()))


@cache
def _limits(folder: Path = Path("/sys/fs/cgroup")) -> tuple[int, ...]:
    """The limits of the container (bytes) that are set, and that of this process."""
    limits = []
    for name in _LIMITS:
        with suppress(OSError, ValueError):  # no such file; "max" for no limit
            limits.append(int((folder / name).read_text()))
    with suppress(ImportError, OSError):
        import resource

        limits.append(resource.getrlimit(resource.RLIMIT_RSS)[1])
    return tuple(limit for limit in limits if limit > 0)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; False where the C library has no such setting."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_THRESHOLD, _LARGEST), (_TOP_PAD, _HEAP))
    return all(mallopt(name, value) for name, value in settings)
