"""How many threads a matrix product uses, and which kernels it runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, NamedTuple, TypedDict

import threadpoolctl
from threadpoolctl import ThreadpoolController


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_mine: ContextVar[tuple[limit_threads | _Lasting, ...]] = ContextVar("blas_threads", default=())
"""The limits that this thread has opened, the newest last. It goes by them: others may be in another run."""


class _Lasting(NamedTuple):
    """The limit that lasts, where those of runs do not count."""

    threads: int | None
    is_open: bool = True


class limit_threads:
    """Use so many threads for each matrix product of this process; as a context manager, for a while.

    The number counts for the whole process. Where several threads set one, the thread that did so first
    decides about the libraries for as long as its limits last, and the next one then; limits may end in any
    order. So what runs side by side, e.g. the members of an ensemble, computes what it would alone.
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
        self.is_open = False  # also for the thread that opened it, where another one closes it
        _mine.set(tuple(limit for limit in _mine.get() if limit is not self))
        with limit_threads._lock:
            if self in self._active:
                self._active.remove(self)
                _decide()


def _renew() -> None:
    """Leave behind, in a forked child, what belongs to threads that are not there."""
    limits, here = limit_threads, threading.get_ident()
    limits._lock = threading.RLock()
    limits._active[:] = [limit for limit in limits._active if limit.thread == here]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def keep_threads(threads: int) -> None:
    """Use so many threads for each matrix product from now on, wherever no `limit_threads` says otherwise."""
    with limit_threads._lock:
        limit_threads._kept = threads
        _decide()


def _decide() -> None:
    """Put in force what the limits say, else what is kept, else what was there before."""
    limits = limit_threads
    libraries = ThreadpoolController().select(user_api="blas")
    if limits._in_force is None:
        limits._before = {lib["filepath"]: lib["num_threads"] for lib in libraries.info()}
    limits._in_force = limits._active[-1].threads if limits._active else limits._kept
    first = [limit.threads for limit in limits._active if limit.thread == limits._active[0].thread]
    # threadpoolctl has a rule of its own about threads, by which limits of workers would never take effect
    release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    for library in libraries.lib_controllers:
        threads = first[-1] if first else limits._kept or limits._before.get(library.filepath)
        if threads is not None:
            release(force=True)
            library.set_num_threads(threads)
    release(force=True)


def threads_in_force() -> int | None:
    """The number that `limit_threads` or `keep_threads` has set; None where neither has."""
    for limit in reversed(_mine.get()):
        if limit.is_open:
            return limit.threads
    return limit_threads._in_force


@contextmanager
def lasting_limit() -> Iterator[None]:
    """Go by what is kept for good, so that what is computed here does not depend on runs in other threads."""
    token = _mine.set((_Lasting(limit_threads._kept),))
    try:
        yield
    finally:
        _mine.reset(token)


def on_one_core() -> bool:
    """Return whether a matrix product is to use one core only: others are busy, or there is none."""
    return (threads_in_force() or cores()) == 1


class Library(TypedDict):
    """A BLAS library in force; `architecture`: the kernels that it runs, e.g. `SkylakeX`."""

    library: str
    version: str | None
    architecture: str | None
    threads: int


def describe() -> list[Library]:
    """The BLAS libraries in force: library, version, architecture (e.g. `SkylakeX`), threads."""
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
