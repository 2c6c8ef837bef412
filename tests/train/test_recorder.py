"""The history as it grows: sums of steps become means, records count rows, and NaN is told once."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.tasks.types import Logged
from daskpar.train.recorder import Recorder


def recorder(**options: Any) -> Recorder:
    return Recorder(spec_of(Layout(), metrics=["accuracy"], **options))


def log(first: int, *sums: tuple[float, ...], staleness: tuple[int, ...] = ()) -> tuple[Logged, ...]:
    return tuple(Logged(first + n, entry, staleness) for n, entry in enumerate(sums))


def test_a_record_is_of_the_steps_since_the_last() -> None:
    """Sums are (loss, weights, right answers, answers)."""
    keeps = recorder()
    entries = keeps.add(
        log(0, (120.0, 60.0, 15.0, 60.0), (60.0, 60.0, 45.0, 60.0)), lambda step: 0.1 * (step + 1)
    )
    assert entries == [(0, (120.0, 60.0, 15.0, 60.0), 0.1), (1, (60.0, 60.0, 45.0, 60.0), 0.2)]
    first = keeps.record(2, 4.0, {"loss": 1.5})
    assert first["train"] == {"loss": 1.5, "accuracy": 0.5} and first["validation"] == {"loss": 1.5}
    assert first["each_step"] == {"loss": [2.0, 1.0], "lr": [0.1, 0.2]} and first["lr"] == 0.2
    assert (first["step"], first["examples_per_second"], first["seconds"]) == (2, 120 / 4.0, 4.0)
    keeps.begin_next()
    keeps.add(log(2, (30.0, 60.0, 60.0, 60.0)), lambda step: 0.3)
    second = keeps.record(3, 5.0, {})
    assert second["train"] == {"loss": 0.5, "accuracy": 1.0} and second["each_step"]["loss"] == [0.5]
    assert keeps.history == [first, second]


def test_epochs_are_counted_in_steps() -> None:
    keeps = recorder()  # 30 steps an epoch
    assert [keeps.epoch(step) for step in (0, 15, 30)] == [0.0, 0.5, 1.0]


def test_a_training_that_goes_on_counts_from_where_it_began() -> None:
    keeps = recorder()
    old: dict[str, Any] = {"step": 30, "loss": 1.0}
    since: list[Any] = [[60.0, 60.0, 30.0, 60.0], {"loss": [1.0], "lr": [0.1]}]
    keeps.take_up([old], since, {"step": 30, "seconds": 9.0, "epoch": 2.0})
    keeps.add(log(31, (120.0, 60.0, 30.0, 60.0)), lambda step: 0.2)
    record = keeps.record(32, 11.0, {})
    assert record["train"]["loss"] == 1.5 and record["epoch"] == pytest.approx(2 + 2 / 30)
    assert record["examples_per_second"] == 120 / 2.0  # 2 steps in 2 seconds since
    assert keeps.history == [old, record]


def test_staleness_is_kept_lane_by_lane() -> None:
    keeps = recorder()
    keeps.add(log(0, (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), staleness=(0, 2)), lambda step: 0.1)
    assert keeps.since[1]["staleness"] == [[0, 2], [0, 2]]


def test_a_score_without_a_value_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    keeps = recorder()
    with caplog.at_level(logging.WARNING, "daskpar"):
        for step in (1, 2):
            keeps.add(log(step - 1, (math.nan, 1.0, 1.0, 1.0)), lambda step: 0.1)
            keeps.record(step, 1.0, {"loss": math.inf})
            keeps.begin_next()
    told = [message.split(":")[1].strip() for message in caplog.messages]
    assert told == ["train.loss has no value", "validation.loss is inf"]
    assert keeps.without_value == {"train.loss", "validation.loss"}
