"""Ctrl-C and SIGTERM during a run: the first ends it after the steps in flight, the second at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from daskpar.interrupts import note, terminate

logger = logging.getLogger("daskpar")

_DEFAULTS = {signal.SIGINT: (signal.default_int_handler,), signal.SIGTERM: (signal.SIG_DFL, terminate)}
"""The handlers that are replaced, by signal. A program's own handlers stay."""
_AT_ONCE = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate}


@contextmanager
def first_interrupt(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C or SIGTERM; later ones raise KeyboardInterrupt.

    It has no effect outside of the main thread, and on a signal for which a program has its own handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _DEFAULTS}
    ours = [number for number, handlers in _DEFAULTS.items() if before[number] in handlers]

    def handler(number: int, frame: FrameType | None) -> None:
        for each in ours:
            signal.signal(each, _AT_ONCE[each])
        note(number)
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        logger.warning("interrupted: ending after the steps in flight; %s again ends at once", name)
        stop()

    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
