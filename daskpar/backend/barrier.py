"""Barrier for threads that compute together, and a function that runs work in such threads."""

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

_POLLS = 2_000_000  # some milliseconds of busy waiting, after which a thread sleeps between polls
_NAP = 1e-4  # seconds between polls
T = TypeVar("T")
_GONE = np.iinfo(np.int64).max


class Barrier:
    """Barrier of `threads` threads that can be used any number of times.

    If each thread has a core, the threads poll for each other, because to wake a thread takes longer than
    most waits. With fewer cores, or without Numba, they block.
    """

    def __init__(self, threads: int):
        self._broken = False
        self._numbers = [0] * threads
        self._barrier: threading.Barrier | None = None
        if threads > blas.cores() or not are_compiled():
            self._barrier = threading.Barrier(threads)
        else:
            from daskpar.backend.kernels.numba.atomic import APART
            from daskpar.backend.kernels.numba.barrier import meet

            self._meet, self._apart = meet, APART
            self._counts = np.zeros(threads * APART, np.int64)

    def wait(self, thread: int) -> None:
        """Wait until all threads have called this as often as `thread` has.

        Raises BrokenBarrierError if a thread has left.
        """
        if self._barrier is not None:
            self._barrier.wait()
            return
        self._numbers[thread] += 1
        polls = _POLLS
        while not self._meet(self._counts, thread, self._numbers[thread], polls):
            time.sleep(_NAP)
            polls = 1
        if self._broken:
            raise threading.BrokenBarrierError

    def leave(self) -> None:
        """Break the barrier for all threads that wait, because this thread will not call `wait` again."""
        self._broken = True
        if self._barrier is not None:
            self._barrier.abort()
        else:
            self._counts[:: self._apart] = _GONE


def run_in_threads(threads: int, work: Callable[[int, Callable[[], None]], T]) -> list[T]:
    """Call `work(number, wait)` in each of `threads` threads, and return the results by number.

    This thread has number 0. `wait()` is a barrier of all threads. If one raises, the others end at their
    next barrier, and the error of the lowest number is raised here.
    """
    if threads == 1:
        return [work(0, lambda: None)]
    barrier = Barrier(threads)

    def run(number: int) -> T:
        try:
            return work(number, lambda: barrier.wait(number))
        except BaseException:
            barrier.leave()
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
