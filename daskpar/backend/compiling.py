"""Lock for the compilation of kernels: one thread at a time, and never during a fork.

Threads that import the compiler at the same time may deadlock. So may a forked child, if a thread of its
parent was importing or compiling. A thread that loads kernels holds `LOADING`, and a fork waits until no
thread loads or compiles.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Protocol

LOADING = threading.RLock()


class _Lock(Protocol):
    def acquire(self) -> object: ...
    def release(self) -> None: ...


_taken: list[list[_Lock]] = []


def _before_fork() -> None:
    locks: list[_Lock] = [LOADING]
    LOADING.acquire()
    if "numba.core.compiler_lock" in sys.modules:
        locks.append(sys.modules["numba.core.compiler_lock"].global_compiler_lock)
        locks[-1].acquire()
    _taken.append(locks)


def _after_fork() -> None:
    for lock in reversed(_taken.pop()):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
