"""Going on: `fit` after `fit`, `restore` or an assignment, and after an interrupt."""

from __future__ import annotations

import _thread
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, EarlyStopping, Ensemble, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED, ThreadedExecutor
from daskpar.data import Digits
from daskpar.train.checkpoint import Checkpoints, read_meta

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]
STEPS = 15  # of an epoch: 1,797 rows in batches of 128


def make(model: Any = MODEL, **options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 128, "epochs": 2, "client": THREADED}
    return Trainer(model, **{**settings, **options})


LAYOUTS: dict[str, Any] = {
    "one lane": {},
    "window": {"grain": "window"},
    "lanes": {"data": 2},
    "stages": {"stages": 2, "microbatches": 2},
    "shards": {"data": 2, "shards": 2},
    "local sgd": {"replicas": 2, "average_every": 4},
    "compression": {"data": 2, "compression": "float16"},
    "stale": {"data": 2, "update": "stale", "staleness": 1},
}
NOT_EXACT = {"stale"}  # gradients in flight do not outlive a fit, nor do they a checkpoint


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_fits_are_one_of_their_lengths(name: str) -> None:
    momentum = {"sgd": {"lr": 0.1, "momentum": 0.9}}
    options = {"layout": Layout(**LAYOUTS[name]), "optimizer": "adam" if name != "window" else momentum}
    whole = make(epochs=3, **options).fit(Digits())
    trainer = make(epochs=1, **options).fit(Digits())
    trainer.epochs = 2
    trainer.fit(Digits())
    assert (trainer.steps_, trainer.resumed_at_, trainer.steps_planned_) == (45, 15, 45)
    assert [record["step"] for record in trainer.history_] == [15, 30, 45]
    assert [record["epoch"] for record in trainer.history_] == [1, 2, 3]
    if name not in NOT_EXACT:
        assert trainer.parameters_sha256_ == whole.parameters_sha256_


def test_warm_start_says_whether_fit_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "daskpar")
    trainer = make(warm_start=False).fit(Digits())
    once = trainer.parameters_sha256_
    assert trainer.fit(Digits()).parameters_sha256_ == once
    assert "going on" not in caplog.text
    trainer.warm_start = True
    assert trainer.fit(Digits()).steps_ == 4 * STEPS
    assert "continuing from step 30; warm_start=False trains from scratch" in caplog.text


@pytest.mark.parametrize("how", ["restored", "copied", "pickled"])
def test_what_is_fitted_elsewhere_goes_on(tmp_path: Path, how: str) -> None:
    whole = make(epochs=4).fit(Digits())
    first = make(folder=tmp_path).fit(Digits())
    match how:
        case "restored":
            other = make().restore(tmp_path / "checkpoints/final")
        case "copied":
            other = first.__copy__()
        case _:
            other = pickle.loads(pickle.dumps(first))
    other.folder = None
    assert other.fit(Digits()).parameters_sha256_ == whole.parameters_sha256_
    assert len(other.history_) == 4 and len(first.history_) == 2


def test_a_fresh_optimizer_begins_anew_from_the_parameters() -> None:
    trainer = make().fit(Digits())
    before = dict(trainer.parameters_)
    trainer.fit(Digits(), fresh_optimizer=True)
    other = make()
    other.parameters_ = before
    other.fit(Digits())
    assert trainer.steps_ == other.steps_ == 2 * STEPS
    assert trainer.parameters_sha256_ == other.parameters_sha256_
    assert trainer.parameters_sha256_ != make().fit(Digits()).parameters_sha256_


def test_other_data_are_drawn_from_their_beginning() -> None:
    x, y = Digits().arrays()
    trainer = make().fit(x, y)
    trainer.epochs = 1
    trainer.fit(x[:700], y[:700])
    assert trainer.spec_.order.first_step == 2 * STEPS
    assert [record["step"] for record in trainer.history_] == [15, 30, 36]
    assert [record["epoch"] for record in trainer.history_] == [1, 2, 3]
    rates = [record["examples_per_second"] for record in trainer.history_]
    assert all(0 < rate < 1e8 for rate in rates)


class Epochs(Callback):
    """Notes the epochs that it hears of."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def before_epoch(self, run: Any, epoch: int) -> None:
        self.epochs.append(epoch)


def test_a_schedule_is_spread_over_the_new_steps() -> None:
    epochs = Epochs()
    trainer = make(schedule="cosine", callbacks=[epochs]).fit(Digits()).fit(Digits())
    rates = [rate for record in trainer.history_ for rate in record["each_step"]["lr"]]
    assert rates[:30] == rates[30:] and rates[0] > rates[29]
    assert epochs.epochs == [0, 1, 2, 3]


def test_partial_fit_is_an_epoch_over_some_rows() -> None:
    x, y = Digits().arrays()
    trainer = make(epochs=7, warm_start=False)
    for start in (0, 600, 1200):
        trainer.partial_fit(x[start : start + 600], y[start : start + 600])
    assert trainer.steps_ == 3 * 5 and len(trainer.history_) == 3
    assert trainer.epochs == 7


def test_the_best_state_is_what_goes_on(tmp_path: Path) -> None:
    stopping = EarlyStopping("train.loss", patience=1, min_delta=100.0)
    trainer = make(epochs=6, folder=tmp_path, callbacks=[stopping]).fit(Digits())
    assert (trainer.steps_, trainer.steps_run_) == (15, 30)
    trainer.callbacks, trainer.epochs = (), 2
    trainer.fit(Digits())
    assert [record["step"] for record in trainer.history_] == [15, 30, 45]
    assert Checkpoints(tmp_path / "checkpoints").latest() == tmp_path / "checkpoints/step-00000045"
    assert (
        Checkpoints(tmp_path / "checkpoints.1").latest() is not None
    )  # those of the steps that were given up


def test_transforms_and_labels_stay_as_they_were_fitted() -> None:
    x, y = Digits().arrays()
    names = np.array(list("abcdefghij"))[y]
    trainer = make(transforms=["standardise"]).fit(x, names)
    transforms = trainer.spec_.transforms
    some = names < "d"
    trainer.fit(x[some] + 1, names[some])
    np.testing.assert_equal(vars(trainer.spec_.transforms[0]), vars(transforms[0]))
    assert list(trainer.classes_) == list("abcdefghij")
    with pytest.raises(InputError, match="label z is none of the 10"):
        trainer.fit(x[:200], np.where(some[:200], "z", names[:200]))


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"model": ["flatten", {"dense": 9}, "relu", {"dense": 10}]},
            r"1\.weight is \(64, 8\) there, and \(64, 9\)",
        ),
        ({"model": ["flatten", {"dense": 8}, "relu", {"dense": 10}, {"dense": 10}]}, "is missing there"),
        ({"optimizer": {"adam": 0.1}}, None),
        ({"optimizer": "rmsprop"}, "optimizer was adam and is rmsprop now"),
    ],
)
def test_a_model_or_optimizer_that_does_not_fit_is_refused(
    changes: dict[str, Any], message: str | None
) -> None:
    trainer = make().fit(Digits())
    for name, value in changes.items():
        setattr(trainer, name, value)
    if message is None:
        assert trainer.fit(Digits()).steps_ == 60
        return
    with pytest.raises(InputError, match=message):
        trainer.fit(Digits())
    assert trainer.steps_ == 30
    trainer.warm_start = False
    assert trainer.fit(Digits()).steps_ == 30


def test_a_part_of_the_parameters_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x, y = Digits().arrays()
    source = make(folder=tmp_path, transforms=["standardise"]).fit(x, y)
    head = [*MODEL[:-1], {"dense": 3}]
    checkpoint = tmp_path / "checkpoints/final"
    with pytest.raises(InputError, match=r"3\.weight has shape \(8, 10\)"):
        make(head).restore(checkpoint)
    tuned = make(head).restore(checkpoint, strict=False)
    assert "left out, because the model differs: 3.weight, 3.bias" in caplog.text
    np.testing.assert_array_equal(tuned.parameters_["1.weight"], source.parameters_["1.weight"])
    initial = tuned.parameters_["3.weight"]
    few = y < 3
    names = np.array(["zero", "one", "two"])[y[few]]
    tuned.epochs = 40
    tuned.fit(x[few], names)
    assert tuned.steps_ == tuned.spec_.order.steps * 40
    assert np.mean(tuned.predict(x[few], "classes") == names) > 0.9
    assert not np.array_equal(tuned.parameters_["3.weight"], initial)
    np.testing.assert_equal(vars(tuned.spec_.transforms[0]), vars(source.spec_.transforms[0]))


def test_parameters_are_assigned_not_written_to() -> None:
    x, y = Digits().arrays()
    trainer = make(folder=None).fit(x, y)
    zeros = {name: np.zeros_like(value) for name, value in trainer.parameters_.items()}
    with pytest.raises(ValueError, match="read-only"):
        trainer.parameters_["1.weight"][...] = 0
    trainer.parameters_["1.weight"] = zeros["1.weight"]
    assert not trainer.parameters_["1.weight"].any() and trainer.parameters_["3.weight"].any()
    trainer.parameters_ = zeros
    assert not trainer.predict(x[:5]).any()
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(np.log(10))
    for changed, message in [
        ({"1.weigth": 0}, r"did you mean '1\.weight'"),
        ({"1.bias": np.zeros(3)}, r"parameters_\['1\.bias'\] is of shape \(3,\); expected \(8,\)"),
        ({"1.bias": np.full(8, np.nan)}, "not finite"),
        ({"1.bias": "x"}, "expected numbers"),
    ]:
        with pytest.raises(InputError, match=message):
            trainer.parameters_ = changed
    fresh = make()
    fresh.parameters_ = zeros
    before = fresh.fit(x, y).history_[0]["each_step"]["loss"][0]
    assert before == pytest.approx(np.log(10))


def test_members_go_on() -> None:
    ensemble = Ensemble(MODEL, members=2, batch=128, epochs=1, client=THREADED).fit(Digits())
    ensemble.fit(Digits())
    whole = Ensemble(MODEL, members=2, batch=128, epochs=2, client=THREADED).fit(Digits())
    shas = [[member.parameters_sha256_ for member in each.members_] for each in (ensemble, whole)]
    assert shas[0] == shas[1]


class Interrupts(Callback):
    """Interrupts the run once, at a step: as Ctrl-C does, or by an exception of its own."""

    def __init__(self, step: int, raises: bool):
        self.step, self.raises = step, raises

    def after_steps(self, run: Any, entries: Any) -> None:
        if self.step and entries[-1][0] >= self.step:
            self.step = 0
            if self.raises:
                raise KeyboardInterrupt
            _thread.interrupt_main()


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_an_interrupted_run_is_finished_by_fit(name: str, raises: bool) -> None:
    epochs = 40 if name == "stale" else 8  # lanes that do not wait have more steps in flight
    options = {"layout": Layout(**LAYOUTS[name]), "epochs": epochs, "schedule": "cosine"}
    total = epochs * STEPS
    whole = make(**options).fit(Digits())
    trainer = make(callbacks=[Interrupts(20, raises)], **options)
    with pytest.raises(KeyboardInterrupt, match=rf"interrupted at step \d+ of {total}; the Trainer has"):
        trainer.fit(Digits())
    stopped = trainer.steps_
    assert 20 < stopped < total
    assert trainer.predict(Digits().arrays()[0][:3]).shape == (3, 10)
    trainer.fit(Digits())
    assert (trainer.steps_, trainer.resumed_at_) == (total, stopped)
    assert [record["step"] for record in trainer.history_] == list(range(15, total + 1, 15))
    if name not in NOT_EXACT:
        assert trainer.parameters_sha256_ == whole.parameters_sha256_
    assert trainer.fit(Digits()).steps_ == 2 * total


def test_an_interrupted_run_leaves_a_checkpoint(tmp_path: Path) -> None:
    trainer = make(folder=tmp_path, epochs=8, callbacks=[Interrupts(20, raises=False)])
    with pytest.raises(KeyboardInterrupt, match=r"step-\d+ is kept"):
        trainer.fit(Digits())
    latest = Checkpoints(tmp_path / "checkpoints").latest()
    assert latest is not None and read_meta(latest)["step"] == trainer.steps_
    whole = make(epochs=8).fit(Digits())
    resumed = make(folder=tmp_path, epochs=8).fit(Digits(), resume=True)
    assert resumed.parameters_sha256_ == whole.parameters_sha256_


def test_an_interrupt_before_the_first_step_learns_nothing() -> None:
    class First(Callback):
        def before_training(self, run: Any) -> None:
            raise KeyboardInterrupt

    trainer = make(callbacks=[First()])
    with pytest.raises(KeyboardInterrupt, match="the Trainer is unchanged"):
        trainer.fit(Digits())
    with pytest.raises(InputError, match="not fitted"):
        trainer.predict(Digits().arrays()[0])


def test_an_error_is_one_line_in_a_notebook() -> None:
    error = InputError("train.batch=0 must be at least 1")
    assert error._render_traceback_() == ["InputError: train.batch=0 must be at least 1"]


def test_an_interrupt_at_once_keeps_the_last_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ThreadedExecutor.result
    monkeypatch.setattr(ThreadedExecutor, "result", lambda self, key: interrupted(self, key))

    def interrupted(executor: ThreadedExecutor, key: Any) -> Any:
        if key[0].startswith("report") and key[1] > 20:
            raise KeyboardInterrupt
        return plain(executor, key)

    trainer = make(epochs=8)
    with pytest.raises(KeyboardInterrupt, match="interrupted; the Trainer has the state of step 15"):
        trainer.fit(Digits())
    monkeypatch.undo()
    assert trainer.parameters_sha256_ == make(epochs=1).fit(Digits()).parameters_sha256_
    assert trainer.fit(Digits()).steps_ == 15 + 8 * STEPS
