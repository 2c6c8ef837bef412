"""Callbacks: the five moments, early stopping, the plateau."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, EarlyStopping, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 128, "epochs": 3, "metrics": ["accuracy"], "client": THREADED}
    return Trainer(MODEL, **{**settings, **options})


class Moments(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def before_training(self, trainer: Trainer) -> None:
        self.seen.append(("before_training", None))

    def before_epoch(self, trainer: Trainer, epoch: int) -> None:
        self.seen.append(("before_epoch", epoch))

    def after_steps(self, trainer: Trainer, entries: Any) -> None:
        self.seen += [("step", step) for step, _, _ in entries]

    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        self.seen.append(("after_evaluation", record["step"]))

    def after_training(self, trainer: Trainer) -> None:
        self.seen.append(("after_training", trainer.steps_run_))


@pytest.mark.parametrize(
    "layout", [Layout(data=2), Layout(data=1, grain="stage"), Layout(grain="window")], ids=repr
)
def test_five_moments_in_order(layout: Layout, threads_client: Any) -> None:
    steps = 15  # 1,797 rows in batches of 128
    for client in (THREADED, threads_client):
        moments = Moments()
        make(callbacks=[moments], layout=layout, client=client, epochs=2).fit(Digits())
        seen = [m for m in moments.seen if m[0] != "before_epoch"]
        expected: list[tuple[str, Any]] = [("before_training", None)]
        for epoch in range(2):
            expected += [("step", s) for s in range(epoch * steps, (epoch + 1) * steps)]
            expected.append(("after_evaluation", (epoch + 1) * steps))
        assert seen == [*expected, ("after_training", 2 * steps)]
        assert [m for m in moments.seen if m[0] == "before_epoch"] == [
            ("before_epoch", 0),
            ("before_epoch", 1),
        ]


def test_evaluations_need_not_be_epochs() -> None:
    trainer = make(evaluate_every="10 steps", epochs=2).fit(Digits())
    assert [r["step"] for r in trainer.history_] == [10, 20, 30]
    assert [len(r["each_step"]["loss"]) for r in trainer.history_] == [10, 10, 10]


class Scripted(Callback):
    """Replaces what was measured by a script, before others look at it."""

    def __init__(self, values: list[float], keep: bool = True):
        self.values, self.keep = values, keep
        self.states: list[np.ndarray] = []

    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        record["validation"]["loss"] = self.values[len(trainer.history_) - 1]
        if self.keep:
            self.states.append(trainer.keep_best().params)


@pytest.mark.parametrize(
    "values, best, last",
    [([3, 2, 2.5, 2.4, 2.3, 1], 1, 3), ([1, 2, 3, 4, 5, 6], 0, 2), ([6, 5, 4, 3, 2, 1], 5, 5)],
)
def test_early_stopping_restores_the_best_state(
    values: list[float], best: int, last: int, threads_client: Any
) -> None:
    for client in (THREADED, threads_client):
        script = Scripted(values)
        stopping = EarlyStopping(patience=2)
        trainer = make(callbacks=[script, stopping], epochs=6, client=client)
        trainer.fit(Digits(), validation=0.1)
        assert len(trainer.history_) == last + 1
        assert stopping.best_value == values[best]
        np.testing.assert_array_equal(trainer.state_.params, script.states[best])
        assert trainer.steps_ == trainer.history_[best]["step"]
        assert trainer.steps_run_ == trainer.history_[-1]["step"]


def test_early_stopping_goes_on_after_a_resumption(tmp_path: Path) -> None:
    values = [3.0, 1.0, 2.0, 2.0, 2.0]
    whole = make(callbacks=[Scripted(values, keep=False), EarlyStopping(patience=3)], epochs=5).fit(
        Digits(), validation=0.1
    )
    first = make(
        callbacks=[Scripted(values, keep=False), EarlyStopping(patience=3)], epochs=3, folder=tmp_path
    )
    first.fit(Digits(), validation=0.1)
    again = make(
        callbacks=[Scripted(values, keep=False), EarlyStopping(patience=3)], epochs=5, folder=tmp_path
    )
    again.fit(Digits(), validation=0.1, resume=True)
    assert again.parameters_sha256_ == whole.parameters_sha256_
    assert again.steps_ == whole.steps_


def test_the_plateau_lowers_the_rate_from_the_next_step_on(threads_client: Any) -> None:
    values = [1.0, 2.0, 2.0, 2.0, 2.0]
    schedule = {"reduce_on_plateau": {"patience": 2, "factor_each": 0.5}}
    for client in (THREADED, threads_client):
        trainer = make(epochs=5, optimizer={"sgd": 0.1}, schedule=schedule, client=client)
        trainer.callbacks = [Scripted(values)]
        trainer.fit(Digits(), validation=0.1)
        rates = [set(r["each_step"]["lr"]) for r in trainer.history_]
        assert rates == [{0.1}, {0.1}, {0.1}, {0.05}, {0.05}]


@pytest.mark.parametrize("monitor", ["validation.los", "validation.acuracy", "loss"])
def test_an_unknown_monitor_is_named_with_the_nearest(monitor: str) -> None:
    with pytest.raises(InputError, match=f"monitor '{monitor}' is not known; did you mean"):
        make(callbacks=[EarlyStopping(monitor)]).fit(Digits(), validation=0.1)


def test_monitoring_validation_needs_one() -> None:
    with pytest.raises(
        InputError, match=r"monitor 'validation\.accuracy' is not known; did you mean 'train\.acc"
    ):
        make(callbacks=[EarlyStopping("validation.accuracy")]).fit(Digits())
