"""SIGTERM as an interrupt: what closes at Ctrl-C closes where a system ends the process, too.

Kubernetes sends SIGTERM to process 1 of a container, whose default is to ignore it. By default another
process ends at once: a cluster of pods that it has started would stay.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_last = signal.SIGINT


class Terminated(KeyboardInterrupt):
    """Interruption by SIGTERM."""


def note(number: int) -> None:
    """Record the signal that interrupted this process."""
    global _last
    _last = signal.Signals(number)


def exit_code() -> int:
    """Return the exit code of a process that was interrupted: 130 after SIGINT, 143 after SIGTERM."""
    return 128 + _last


def terminate(number: int, frame: FrameType | None) -> None:
    """Raise Terminated; a handler of SIGTERM."""
    note(number)
    raise Terminated


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise Terminated, in the main thread of a program without a handler of its own."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
