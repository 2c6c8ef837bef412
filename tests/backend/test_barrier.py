"""Threads that work side by side and wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from daskpar.backend import barrier, blas

FORMS = pytest.mark.parametrize("threads, cores", [(2, 2), (3, 3), (3, 1)], ids=["two", "three", "asleep"])


@FORMS
def test_nobody_goes_on_before_all_have_come(
    threads: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas, "cores", lambda: cores)
    done = [0] * threads

    def work(number: int, meet: Callable[[], None]) -> int:
        for turn in range(1, 30):
            if turn % 10 == number:
                time.sleep(0.003)
            done[number] = turn
            meet()
            assert min(done) == turn
            meet()
        return number

    assert barrier.run_in_threads(threads, work) == list(range(threads))


@FORMS
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_ends_all_and_is_raised(
    threads: int, cores: int, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas, "cores", lambda: cores)

    def work(number: int, meet: Callable[[], None]) -> None:
        meet()
        if number == failing:
            raise ValueError(f"thread {number}")
        meet()
        raise AssertionError("nobody comes here")

    with pytest.raises(ValueError, match=f"thread {failing}"):
        barrier.run_in_threads(threads, work)


def test_one_thread_is_this_one() -> None:
    assert barrier.run_in_threads(1, lambda number, meet: (number, meet(), threading.current_thread())) == [
        (0, None, threading.current_thread())
    ]


def test_who_is_very_late_is_waited_for_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "cores", lambda: 2)
    monkeypatch.setattr(barrier, "_POLLS", 1)
    naps: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(barrier.time, "sleep", lambda seconds: (naps.append(seconds), sleep(seconds)))

    def work(number: int, meet: Callable[[], None]) -> None:
        if number:
            sleep(0.02)
        meet()

    barrier.run_in_threads(2, work)
    assert naps and set(naps) == {barrier._NAP}
