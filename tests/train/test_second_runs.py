"""Runs after runs: into the same folder, with the same Trainer, resumed after an end."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Callback, EarlyStopping, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Split, split
from daskpar.train import driver
from daskpar.train.checkpoint import Checkpoints, read_meta

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 128, "epochs": 3, "metrics": ["accuracy"], "client": THREADED}
    return Trainer(MODEL, **{**settings, **options})


def test_a_second_run_into_a_folder_finds_none_of_the_firsts_checkpoints(tmp_path: Path) -> None:
    make(folder=tmp_path, epochs=5).fit(Digits())
    second = make(folder=tmp_path, epochs=2, keep=1).fit(Digits())
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["final", "step-00000030"]
    assert Checkpoints(tmp_path / "checkpoints.1").latest() is not None
    resumed = make(folder=tmp_path, epochs=2).fit(Digits(), resume=True)
    assert resumed.parameters_sha256_ == second.parameters_sha256_


def test_a_second_fit_forgets_the_first() -> None:
    x, y = Digits().arrays()
    trainer = make(warm_start=False, callbacks=[EarlyStopping("train.loss", patience=1)])
    trainer.fit(x, y)
    again = trainer.fit(x, (y + 3) % 10).parameters_sha256_
    fresh = make(callbacks=[EarlyStopping("train.loss", patience=1)]).fit(x, (y + 3) % 10)
    assert again == fresh.parameters_sha256_


class Stop(Callback):
    """Ends the run at an evaluation."""

    def __init__(self, at: int):
        self.at = at

    def after_evaluation(self, trainer: Trainer, record: dict[str, Any]) -> bool:
        return record["step"] >= self.at


@pytest.mark.parametrize("every", ["1 epoch", "100 epochs"])
def test_a_run_that_was_ended_stays_ended(tmp_path: Path, every: str) -> None:
    ended = make(folder=tmp_path, callbacks=[Stop(30)], epochs=6, checkpoint_every=every).fit(Digits())
    again = make(folder=tmp_path, callbacks=[Stop(30)], epochs=6).fit(Digits(), resume=True)
    assert ended.steps_run_ == again.steps_run_ == 30
    assert again.parameters_sha256_ == ended.parameters_sha256_


def test_final_gives_way_when_a_run_goes_on(tmp_path: Path) -> None:
    make(folder=tmp_path, epochs=2).fit(Digits())

    class Fail(Callback):
        def after_evaluation(self, trainer: Trainer, record: dict[str, Any]) -> None:
            if record["step"] >= 60:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        make(folder=tmp_path, epochs=6, callbacks=[Fail()]).fit(Digits(), resume=True)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.named("final") is None
    latest = checkpoints.latest()
    assert latest is not None and latest.name == "step-00000045"


def test_the_best_of_steps_to_come_is_not_taken_up(tmp_path: Path) -> None:
    stopping = {"monitor": "train.loss", "patience": 9}
    options: dict[str, Any] = dict(folder=tmp_path, checkpoint_every="2 epochs")
    make(epochs=3, callbacks=[EarlyStopping(**stopping)], **options).fit(Digits())
    (tmp_path / "checkpoints" / "step-00000045").rename(tmp_path / "gone")  # as if killed before it
    resumed = make(epochs=2, callbacks=[EarlyStopping(**stopping)], **options).fit(Digits(), resume=True)
    assert read_meta(tmp_path / "checkpoints" / "best")["step"] == 45
    assert (resumed.steps_, resumed.steps_run_) == (30, 30)


def test_lazy_predictions_outlive_their_trainer() -> None:
    x, y = Digits().arrays()
    lazy = make(epochs=1).fit(x, y).predict(da.from_array(x, chunks=(500, 8, 8, 1)), "classes")
    gc.collect()
    assert lazy.compute().shape == (1797,)


def test_a_share_of_a_part_stays_within_the_part() -> None:
    whole = Digits()
    train, _, _ = split(whole, 0.2, 0.5, seed=0, stratified=False)
    inner, held_out = train.split(0.25)
    rows = np.arange(whole.rows)
    inside = rows[train.where(slice(0, train.rows))]
    parts = [rows[part.where(slice(0, part.rows))] for part in (inner, held_out)]
    assert sorted(np.concatenate(parts)) == sorted(inside)
    assert make().fit(train, validation=0.25).spec_.order.rows == inner.rows
    with pytest.raises(InputError, match=r"validation=0\.0 must be above 0 and below 1"):
        make().fit(Split(whole), validation=0)


def test_files_of_a_run_go_with_it(
    processes_client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "_RESTART_TASKS", 10)
    x, y = Digits().arrays()
    trainer = make(
        client=processes_client, layout=Layout(data=2), folder=tmp_path, checkpoint_every="9 epochs"
    )
    trainer.fit(x, y)
    trainer.evaluate(x, y)
    left = sorted(p.suffix for p in (tmp_path / ".scratch").rglob("*") if p.is_file())
    assert left in ([], [".safetensors"])
    del trainer
    gc.collect()
    assert not (tmp_path / ".scratch").exists()


def test_what_is_not_finite_is_null_in_json() -> None:
    from daskpar.train.history import to_json

    value = {"r2": float("nan"), "loss": [1.5, float("inf")], "n": 3, "confusion": [[1, 2]]}
    assert json.loads(to_json(value)) == {"r2": None, "loss": [1.5, None], "n": 3, "confusion": [[1, 2]]}


@pytest.mark.parametrize("drop_last, rows", [(False, 1797), (True, 1792)])
def test_rows_are_counted_as_they_are_drawn(drop_last: bool, rows: int) -> None:
    order = make(drop_last=drop_last, epochs=1).fit(Digits()).spec_.order
    assert [order.drawn(step) for step in (0, 1, order.steps, order.steps + 2)] == [0, 128, rows, rows + 256]


def test_wide_numbers_are_transformed_before_they_are_cast() -> None:
    rng = np.random.default_rng(0)
    x = 1.7e9 + rng.integers(0, 256, (400, 1))
    y = (x[:, 0] > 1.7e9 + 128).astype(int)
    trainer = Trainer(
        [{"dense": 2}],
        optimizer={"adam": 0.05},
        batch=40,
        epochs=20,
        transforms=["standardise"],
        client=THREADED,
    )
    trainer.fit(x, y)
    assert np.mean(trainer.predict(x, "classes") == y) > 0.97
