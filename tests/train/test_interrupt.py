"""Signals during a run: the first one ends it after the steps in flight, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from daskpar import interrupts
from daskpar.interrupts import Terminated, exit_code, sigterm_interrupts
from daskpar.train.interrupt import first_interrupt


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before
    interrupts.note(signal.SIGINT)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second, raised", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_first_stops_and_the_second_raises(
    first: int, second: int, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    stops: list[int] = []
    with sigterm_interrupts():
        with pytest.raises(raised), first_interrupt(lambda: stops.append(1)):
            send(first)
            assert stops == [1]
            send(second)
    name = "Ctrl-C" if first == signal.SIGINT else "SIGTERM"
    assert f"interrupted: ending after the steps in flight; {name} again ends at once" in caplog.text


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_that_of_the_signal(number: int, code: int) -> None:
    with first_interrupt(lambda: None):
        send(number)
    assert exit_code() == code


def test_a_handler_of_the_program_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with sigterm_interrupts(), first_interrupt(lambda: heard.append(0)):
            send(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_leave_the_handlers_alone() -> None:
    def run() -> None:
        with sigterm_interrupts(), first_interrupt(lambda: None):
            pass

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_sigterm_outside_of_a_run() -> None:
    with pytest.raises(Terminated), sigterm_interrupts():
        send(signal.SIGTERM)
    assert exit_code() == 143
