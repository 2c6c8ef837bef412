"""Compiling kernels: announced when it happens, one thread at a time, and never in the midst of a fork.

Threads that import the compiler together may wait for each other for ever, and so may a forked child for a
thread of its parent that was importing or compiling. Whoever loads kernels holds `LOADING`, and a fork waits
until nobody loads or compiles.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOADING = threading.RLock()
_taken: list[Any] = []


def _before_fork() -> None:
    locks: list[Any] = [LOADING]
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


@contextmanager
def told(tell: Callable[[str], None]) -> Iterator[None]:
    """Calls `tell` with a line when the first kernel is about to be compiled, and with one at the end."""
    from daskpar.backend.kernels import are_compiled

    if not are_compiled():  # the reference needs no compiling
        yield
        return
    from numba.core import event

    started: list[float] = []

    class Listener(event.Listener):
        def on_start(self, event: object) -> None:
            if not started:
                tell("compiling kernels for this processor, once: some seconds")
            started.append(time.perf_counter())

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
    if started:
        from daskpar.backend.compiled.kept import is_kept

        where = "kept on the disk" if is_kept() else "kept for this process"
        tell(f"kernels compiled in {time.perf_counter() - started[0]:.1f} s, and {where}")
