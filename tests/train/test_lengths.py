"""How long a run is: in epochs or in steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits
from daskpar.train.checkpoint import Checkpoints
from daskpar.train.interval import run_length

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


def make(**options: Any) -> Trainer:
    return Trainer(MODEL, **{"batch": 128, "client": THREADED, **options})  # 15 steps an epoch


def test_steps_of_whole_epochs_are_those_epochs() -> None:
    a, b = make(steps=30).fit(Digits()), make(epochs=2).fit(Digits())
    assert a.parameters_sha256_ == b.parameters_sha256_
    assert (a.steps_, a.steps_planned_, b.steps_planned_) == (30, 30, 30)


def test_neither_is_one_epoch() -> None:
    assert make().fit(Digits()).steps_ == 15


@pytest.mark.parametrize("grain", ["step", "window", "layer"])
@pytest.mark.parametrize(
    "steps, evaluated, epochs",
    [(7, [7], [7 / 15]), (15, [15], [1]), (22, [15, 22], [1, 22 / 15])],
)
def test_a_run_may_end_within_an_epoch(
    steps: int, evaluated: list[int], epochs: list[float], grain: str, tmp_path: Path
) -> None:
    trainer = make(steps=steps, layout=Layout(grain=grain), folder=tmp_path).fit(Digits())
    assert [r["step"] for r in trainer.history_] == evaluated
    assert [r["epoch"] for r in trainer.history_] == epochs
    assert sum(len(r["each_step"]["loss"]) for r in trainer.history_) == steps
    assert trainer.steps_run_ == steps
    saved = sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*"))
    assert saved == [f"step-{step:08d}" for step in evaluated]


def test_the_first_steps_are_those_of_a_longer_run() -> None:
    losses = [
        [loss for r in make(steps=n).fit(Digits()).history_ for loss in r["each_step"]["loss"]]
        for n in (9, 20)
    ]
    assert losses[0] == losses[1][:9]


def test_schedules_end_with_the_steps() -> None:
    trainer = make(steps=10, optimizer={"sgd": 0.1}, schedule={"linear": {"warmup": 2}}).fit(Digits())
    rates = trainer.history_[0]["each_step"]["lr"]
    np.testing.assert_allclose(rates[:3], [0.1 / 3, 0.2 / 3, 0.1])
    np.testing.assert_allclose(np.diff(rates[2:]), -0.1 / 8)


def test_a_resumed_run_goes_on_to_its_steps(tmp_path: Path) -> None:
    class Fail(Callback):
        def after_evaluation(self, trainer: Trainer, record: Any) -> None:
            if record["step"] == 16:
                raise RuntimeError

    options: dict[str, Any] = {"steps": 22, "evaluate_every": "8 steps", "checkpoint_every": "8 steps"}
    unbroken = make(**options).fit(Digits())
    with pytest.raises(RuntimeError):
        make(**options, folder=tmp_path, callbacks=[Fail()]).fit(Digits())
    latest = Checkpoints(tmp_path / "checkpoints").latest()
    assert latest is not None and latest.name == "step-00000008"
    resumed = make(**options, folder=tmp_path).fit(Digits(), resume=True)
    assert resumed.resumed_at_ == 8
    assert resumed.parameters_sha256_ == unbroken.parameters_sha256_
    assert [r["step"] for r in resumed.history_] == [8, 16, 22]


def test_callbacks_hear_of_each_epoch_that_begins() -> None:
    class Epochs(Callback):
        begun: list[int]

        def before_training(self, trainer: Trainer) -> None:
            self.begun = []

        def before_epoch(self, trainer: Trainer, epoch: int) -> None:
            self.begun.append(epoch)

    heard = Epochs()
    make(steps=31, callbacks=[heard]).fit(Digits())
    assert heard.begun == [0, 1, 2]


@pytest.mark.parametrize(
    "epochs, steps, expected", [(None, None, 15), (3, None, 45), (None, 4, 4), (None, 400, 400)]
)
def test_run_length(epochs: int | None, steps: int | None, expected: int) -> None:
    assert run_length(epochs, steps, 15) == expected


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"epochs": 2, "steps": 30},
            "train.epochs=2 and train.steps=30 both say how long to train; give one of them",
        ),
        ({"steps": 0}, "train.steps=0 must be at least 1"),
        ({"epochs": -1}, "train.epochs=-1 must be at least 1"),
    ],
)
def test_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        make(**options).fit(Digits())
    assert str(error.value) == message
