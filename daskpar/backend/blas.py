"""How many threads a matrix product uses, and which kernels it runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any, ClassVar

from threadpoolctl import ThreadpoolController


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_PROCESS = "of the process"
_mine: ContextVar[Any] = ContextVar("blas_threads", default=_PROCESS)
"""What this thread goes by where it is not what the process does: others may be in another run."""


class limit_threads:
    """Use so many threads for each matrix product of this process; as a context manager, for a while.

    threadpoolctl lets one thread of a process decide for as long as that thread lives or its context lasts,
    and ignores the others: where workers are threads, the client's thread must be the one to call this.

    Several may be open at once, also in several threads, and close in any order: the last one that was
    opened is in force, and the first state comes back when all are closed.
    """

    _in_force: int | None = None
    _open: ClassVar[list[limit_threads]] = []
    _lock = threading.Lock()

    def __init__(self, threads: int):
        self._token: Token[Any] | None = None  # of a limit that is for a while
        with limit_threads._lock:
            self.threads = threads
            self._limit = ThreadpoolController().limit(limits=threads, user_api="blas")
            self._open.append(self)
            limit_threads._in_force = threads

    def __enter__(self) -> limit_threads:
        self._token = _mine.set(self.threads)
        return self

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            with suppress(ValueError):  # closed by another thread than it was opened by
                _mine.reset(self._token)
        with limit_threads._lock:
            place = next(i for i, limit in enumerate(self._open) if limit is self)
            del self._open[place]
            if place < len(self._open):  # what was before this one is restored by the next one
                self._open[place]._limit = self._limit
                return
            self._limit.__exit__(*error)
            limit_threads._in_force = self._open[-1].threads if self._open else None


def _renew() -> None:
    limit_threads._lock = threading.Lock()  # a forked child has no thread that would release the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def threads_in_force() -> int | None:
    """What `limit_threads` has set; None where nothing has."""
    mine = _mine.get()
    return limit_threads._in_force if mine is _PROCESS else mine


@contextmanager
def lasting_limit() -> Iterator[None]:
    """Go by what is set for good, so that what is computed here does not depend on runs in other threads."""
    lasting = (limit.threads for limit in reversed(limit_threads._open) if limit._token is None)
    token = _mine.set(next(lasting, None))
    try:
        yield
    finally:
        _mine.reset(token)


def on_one_core() -> bool:
    """Whether each matrix product is to use one core only: others are busy with other lanes, or none is."""
    return (threads_in_force() or cores()) == 1


def describe() -> list[dict[str, Any]]:
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
