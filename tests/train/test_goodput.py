"""The account of a training's time: each second is booked once, and to its cause."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar import Trainer
from daskpar.cluster.executor import THREADED
from daskpar.train import driver
from daskpar.train.events import Began, Ended, Evaluated, Evaluating, Event, Saved, StepsDone
from daskpar.train.goodput import CAUSES, Goodput, booked


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def windows(clock: Clock, account: Goodput, *seconds: float, steps: int = 10) -> None:
    for wait in seconds:
        clock.wait(wait)
        account.steps(steps)


def spent(account: Goodput) -> dict[str, float]:
    return {cause: round(seconds, 6) for cause, seconds in account.badput.items() if seconds}


def test_every_second_is_booked_once(clock: Clock) -> None:
    account = Goodput(clock)
    assert account.share is None
    windows(clock, account, 5.0, 1.0, 1.0)
    clock.wait(2.0)
    account.spend("evaluation")
    clock.wait(0.5)
    account.part("evaluation", 0.25)
    account.spend("checkpoints")
    windows(clock, account, 1.0)
    assert spent(account) == {"start": 5.0, "evaluation": 2.25, "checkpoints": 0.25}
    assert account.productive == 3.0 and account.share == 3.0 / clock.seconds
    assert tuple(account.badput) == CAUSES


def test_all_before_the_first_steps_is_the_start(clock: Clock) -> None:
    account = Goodput(clock)
    clock.wait(1.0)
    account.spend("evaluation")
    account.part("evaluation", 0.5)
    windows(clock, account, 2.0)
    assert spent(account) == {"start": 3.0} and account.share == 0.0


@pytest.mark.parametrize(
    "seconds, lost",
    [(1.5, 0.0), (2.0, 0.0), (2.1, 1.1), (9.0, 8.0)],
    ids=["slow", "twice", "more than twice", "a worker was killed"],
)
def test_a_window_far_beyond_the_usual_pace_was_disturbed(clock: Clock, seconds: float, lost: float) -> None:
    account = Goodput(clock)
    windows(clock, account, 3.0, 1.0, 1.0, 1.0, seconds, 1.0)
    assert spent(account) == {"start": 3.0, **({"recovery": lost} if lost else {})}
    assert account.productive == pytest.approx(4.0 + seconds - lost)


def test_the_usual_pace_is_by_steps_and_short_windows_may_vary(clock: Clock) -> None:
    account = Goodput(clock)
    windows(clock, account, 1.0, 0.01, 0.01, 0.01, 0.4, steps=1)
    windows(clock, account, 1.0, steps=100)
    assert spent(account) == {"start": 1.0}


def test_a_lasting_slowdown_is_the_usual_pace_after_a_while(clock: Clock) -> None:
    account = Goodput(clock)
    windows(clock, account, 1.0, *[1.0] * 10, *[4.0] * 40)
    assert account.badput["recovery"] == 10 * 3.0


@pytest.mark.parametrize("beside", [True, False])
def test_callbacks_cost_what_workers_wait_for_them(clock: Clock, beside: bool) -> None:
    account = Goodput(clock)
    windows(clock, account, 1.0, 1.0, 1.0, 1.0)
    for callbacks, rest in ((0.5, 0.5), (6.0, 0.0)):
        clock.wait(callbacks)
        account.callbacks(beside)
        windows(clock, account, rest)
    assert account.badput["other"] == (5.0 if beside else 6.5)
    clock.wait(0.25)
    account.callbacks(beside)
    clock.wait(1.0)
    account.spend("evaluation")
    assert account.badput["evaluation"] == 1.0


def test_a_resumed_run_goes_on_with_its_account(clock: Clock) -> None:
    first, second = Goodput(clock), Goodput(clock)
    windows(clock, first, 1.0, 3.0)
    second.take_up(json.loads(json.dumps(first.totals())))
    second.take_up({})
    assert second.totals() == first.totals() and second.share == 0.75


def test_events_are_booked_by_their_kind(clock: Clock) -> None:
    account, timed = Goodput(clock), SimpleNamespace(evaluation_seconds=0.0)
    entries: Any = [(0, (), 0.1)]

    def events() -> Generator[Event, None, None]:
        yield Began(0)
        clock.wait(1.0)
        yield StepsDone(entries)
        clock.wait(3.0)
        timed.evaluation_seconds = 1.0
        yield StepsDone(entries)
        clock.wait(0.5)
        yield Evaluating(1, 2)
        clock.wait(0.5)
        yield Evaluated({})
        clock.wait(4.0)
        yield Saved(2, Path())
        state: Any = None
        yield Ended(state)

    seen = []
    for event in booked(events(), account, timed, beside=True):
        seen.append(event)
        clock.wait(0.125)
    assert [type(event) for event in seen] == [
        Began,
        StepsDone,
        StepsDone,
        Evaluating,
        Evaluated,
        Saved,
        Ended,
    ]
    assert spent(account) == {"start": 1.125, "evaluation": 2.0, "checkpoints": 4.0, "other": 0.125 * 5}
    assert account.productive == 2.125 and timed.evaluation_seconds == 0.0
    assert account.productive + sum(account.badput.values()) == clock.seconds


X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def test_evaluations_that_are_computed_with_the_steps_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Dask's threaded scheduler a window is computed before `submit` returns."""
    ticks = count()
    ticking = SimpleNamespace(perf_counter=lambda: float(next(ticks)), monotonic=time.monotonic)
    monkeypatch.setattr(driver, "time", ticking)
    seconds: list[float] = []

    class Account(Goodput):
        def part(self, cause: str, seconds_: float) -> None:
            seconds.append(seconds_)

    monkeypatch.setattr("daskpar.train.fit.Goodput", Account)
    Trainer([{"dense": 2}], batch=20, epochs=3, client=THREADED).fit(X, Y, validation=0.2)
    assert sum(seconds) == 3.0


def test_the_summary_of_a_run_has_its_goodput(tmp_path: Path) -> None:
    trainer = Trainer([{"dense": 2}], batch=20, epochs=3, client=THREADED, folder=tmp_path).fit(X, Y)
    found = json.loads((tmp_path / "summary.json").read_text())
    assert 0 <= found["goodput"] <= 1 and tuple(found["badput"]) == CAUSES
    assert found["badput"]["start"] > 0 and found["badput"]["checkpoints"] > 0
    assert trainer.goodput_ == pytest.approx(found["goodput"], abs=1e-3)
    before = trainer.badput_["start"]
    again = Trainer([{"dense": 2}], batch=20, epochs=5, client=THREADED, folder=tmp_path)
    assert again.fit(X, Y, resume=True).badput_["start"] > before
