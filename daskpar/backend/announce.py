"""Message to a user while kernels are compiled, which takes some seconds once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daskpar.backend.kernels import are_compiled


@contextmanager
def announce_compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with a line before the first kernel is compiled, and with a line at the end."""
    if not are_compiled():  # the reference kernels need no compilation
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
        from daskpar.backend.kernels.numba.kernel_cache import is_kept

        where = "kept on the disk" if is_kept() else "kept for this process"
        tell(f"kernels compiled in {time.perf_counter() - started[0]:.1f} s, and {where}")
