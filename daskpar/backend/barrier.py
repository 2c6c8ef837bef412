"""Threads that work side by side and wait for each other after each piece of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import numpy as np

from daskpar.backend import blas
from daskpar.backend.kernels import are_compiled

_LOOKS = 2_000_000  # some milliseconds; who is that late is waited for asleep
_NAP = 1e-4  # seconds
T = TypeVar("T")
_GONE = np.iinfo(np.int64).max


class Barrier:
    """Where so many threads wait for each other, any number of times.

    They look for each other without going to sleep if each has a core to itself, for waking up takes longer
    than most waits; with fewer cores, or without Numba, they wait asleep.
    """

    def __init__(self, threads: int):
        self._broken = False
        self._numbers = [0] * threads
        self._barrier: threading.Barrier | None = None
        if threads > blas.cores() or not are_compiled():
            self._barrier = threading.Barrier(threads)
        else:
            from daskpar.backend.compiled.atomic import APART
            from daskpar.backend.compiled.barrier import meet

            self._meet, self._apart = meet, APART
            self._counts = np.zeros(threads * APART, np.int64)

    def wait(self, thread: int) -> None:
        """Wait until all have called this as often as `thread`; raises BrokenBarrierError where one left."""
        if self._barrier is not None:
            self._barrier.wait()
            return
        self._numbers[thread] += 1
        looks = _LOOKS
        while not self._meet(self._counts, thread, self._numbers[thread], looks):
            time.sleep(_NAP)
            looks = 1
        if self._broken:
            raise threading.BrokenBarrierError

    def leave(self) -> None:
        """Let go of all who wait: somebody will not come."""
        self._broken = True
        if self._barrier is not None:
            self._barrier.abort()
        else:
            self._counts[:: self._apart] = _GONE


def run_in_threads(threads: int, work: Callable[[int, Callable[[], None]], T]) -> list[T]:
    """What `work(number, meet)` gives in each of so many threads, this one among them.

    `meet()` waits for the others. Where one raises, the others end at their next meeting, and the error of
    the lowest number is raised here.
    """
    if threads == 1:
        return [work(0, lambda: None)]
    meeting = Barrier(threads)

    def run(number: int) -> T:
        try:
            return work(number, lambda: meeting.wait(number))
        except BaseException:
            meeting.leave()
            raise

    with ThreadPoolExecutor(threads - 1) as pool:
        futures = [pool.submit(copy_context().run, run, number) for number in range(1, threads)]
        results, errors = [], []
        for number in range(threads):
            try:
                results.append(run(0) if number == 0 else futures[number - 1].result())
            except threading.BrokenBarrierError:
                continue
            except BaseException as error:
                errors.append(error)
    if errors:
        raise errors[0]
    return results
