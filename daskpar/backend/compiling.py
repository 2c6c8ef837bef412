"""Telling when kernels are compiled, which happens once on a machine: then they lie on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told(tell: Callable[[str], None]) -> Iterator[None]:
    """Calls `tell` with a line when the first kernel is about to be compiled, and with one at the end."""
    try:
        from numba.core import event
    except ImportError:  # the reference needs no compiling
        yield
        return
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
        tell(f"kernels compiled in {time.perf_counter() - started[0]:.1f} s, and kept on the disk")
