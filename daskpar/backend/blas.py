"""Threads of matrix products: limits on the BLAS libraries of this process, and information on them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, NamedTuple, TypedDict

import threadpoolctl
from threadpoolctl import ThreadpoolController

from daskpar.backend.cpu_limit import cpu_limit


def cores() -> int:
    """Return the number of processor cores that this process may use: those of its container, if less."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(seen, max(1, math.ceil(min(seen, cpu_limit()))))


_mine: ContextVar[tuple[limit_threads | _Lasting, ...]] = ContextVar("blas_threads", default=())
"""Limits that this thread has opened, the newest last. Other threads may belong to other runs."""


class _Lasting(NamedTuple):
    """Marker for the limit of `keep_threads`, in place of the limits of runs."""

    threads: int | None
    is_open: bool = True


class limit_threads:
    """Limit of the threads of each matrix product in this process; a context manager ends it.

    A limit counts for the whole process. If several threads of Python set limits, the first thread decides
    for as long as its limits last, then the next one. Limits may end in any order. So runs in parallel
    threads, e.g. the members of an ensemble, compute the same as alone.

    Args:
        threads: Number of threads of a matrix product.
    """

    _lock = threading.RLock()
    _active: ClassVar[list[limit_threads]] = []  # the newest last
    _kept: int | None = None
    _in_force: int | None = None
    _before: ClassVar[dict[str, int]] = {}

    def __init__(self, threads: int):
        self.threads, self.thread = threads, threading.get_ident()
        self.is_open = True
        with limit_threads._lock:
            self._active.append(self)
            _decide()

    def __enter__(self) -> limit_threads:
        _mine.set((*_mine.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        self.is_open = False  # read by the thread that opened it, if another thread closes it
        _mine.set(tuple(limit for limit in _mine.get() if limit is not self))
        with limit_threads._lock:
            if self in self._active:
                self._active.remove(self)
                _decide()


def _renew() -> None:
    """Drop, in a forked child, the limits of threads that do not exist there."""
    limits, here = limit_threads, threading.get_ident()
    limits._lock = threading.RLock()
    limits._active[:] = [limit for limit in limits._active if limit.thread == here]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def keep_threads(threads: int) -> None:
    """Set the threads of each matrix product from now on, wherever no `limit_threads` is open."""
    with limit_threads._lock:
        limit_threads._kept = threads
        _decide()


def _decide() -> None:
    """Apply the open limits to the libraries, else the kept number, else the original numbers."""
    limits = limit_threads
    libraries = ThreadpoolController().select(user_api="blas")
    if limits._in_force is None:
        limits._before = {lib["filepath"]: lib["num_threads"] for lib in libraries.info()}
    limits._in_force = limits._active[-1].threads if limits._active else limits._kept
    first = [limit.threads for limit in limits._active if limit.thread == limits._active[0].thread]
    # threadpoolctl lets only one thread set limits, so that those of workers would never take effect
    release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    for library in libraries.lib_controllers:
        threads = first[-1] if first else limits._kept or limits._before.get(library.filepath)
        if threads is not None:
            release(force=True)
            library.set_num_threads(threads)
    release(force=True)


def threads_in_force() -> int | None:
    """Return the number of threads set by `limit_threads` or `keep_threads`, or None."""
    for limit in reversed(_mine.get()):
        if limit.is_open:
            return limit.threads
    return limit_threads._in_force


@contextmanager
def lasting_limit() -> Iterator[None]:
    """Use the number of `keep_threads` in the block, so that runs in other threads do not matter."""
    token = _mine.set((_Lasting(limit_threads._kept),))
    try:
        yield
    finally:
        _mine.reset(token)


def on_one_core() -> bool:
    """Return whether a matrix product must use one core: the others are busy, or there are none."""
    return (threads_in_force() or cores()) == 1


class Library(TypedDict):
    """BLAS library in use; `architecture` names its kernels, e.g. `SkylakeX`."""

    library: str
    version: str | None
    architecture: str | None
    threads: int


def describe() -> list[Library]:
    """Return the BLAS libraries in use, with their versions, architectures and threads."""
    info = ThreadpoolController().select(user_api="blas").info()
    return [
        {
            "library": lib["internal_api"],
            "version": lib["version"],
            "architecture": lib.get("architecture"),
            "threads": lib["num_threads"],
        }
        for lib in info
    ]
