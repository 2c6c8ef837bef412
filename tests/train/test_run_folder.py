"""The folder that a Trainer leaves: the same files as the command line's, also while the run goes on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import daskpar
from daskpar import Callback, Clip, EarlyStopping, InputError, Layout, Penalty, Trainer
from daskpar.build import make_trainer
from daskpar.cluster.executor import THREADED
from daskpar.config import load_config
from daskpar.data import Digits, Split
from daskpar.nn import Layer
from daskpar.train import run_folder
from daskpar.train.description import describe
from daskpar.train.pace import Pace
from daskpar.train.run_folder import FILES

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
MODEL = [{"dense": 4}, "tanh", {"dense": 2}]


def make(folder: Path, **settings: Any) -> Trainer:
    options: dict[str, Any] = {"batch": 20, "epochs": 3, "metrics": ["accuracy"], "client": THREADED}
    return Trainer(settings.pop("model", MODEL), folder=folder, **{**options, **settings})


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".scratch"}  # which goes with the Trainer


def test_a_trainer_leaves_what_the_command_line_leaves(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run").fit(X, Y, validation=0.2)
    assert names(tmp_path / "run") == set(FILES)
    found = summary(tmp_path / "run")
    assert found["finished"] and found["state"] == "finished" and found["steps"] == trainer.steps_run_
    assert (found["epochs"], found["layout_text"]) == (3.0, "1 lane")
    assert list(found["best"]) == ["validation.accuracy", "validation.loss"]
    losses = [record["validation"]["loss"] for record in trainer.history_]
    assert found["best"]["validation.loss"]["value"] == min(losses)
    assert found["parameters_sha256"] == trainer.parameters_sha256_
    assert found["validation"] == json.loads(json.dumps(trainer.history_[-1]["validation"]))
    assert [record["step"] for record in history(tmp_path / "run")] == [3, 6, 9]
    assert '"accuracy"' in (tmp_path / "run" / "curves.html").read_text()


class Watch(Callback):
    """Reads the folder at each evaluation, and may then fail."""

    def __init__(self, folder: Path, error: BaseException | None = None, at: int = 6):
        self.folder, self.error, self.at = folder, error, at
        self.seen: list[dict[str, Any]] = []

    def after_evaluation(self, run: Any, record: dict[str, Any]) -> None:
        assert {"config.yaml", "history.jsonl", "summary.json", "curves.html"} <= names(self.folder)
        assert history(self.folder)[-1]["step"] == record["step"]
        self.seen.append(summary(self.folder))
        if self.error is not None and record["step"] == self.at:
            raise self.error


def test_all_files_are_there_while_the_run_goes_on(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "run")
    make(tmp_path / "run", callbacks=[watch]).fit(X, Y)
    assert [found["finished"] for found in watch.seen] == [False] * 3
    assert {found["state"] for found in watch.seen} == {"running"}
    assert watch.seen[0]["steps"] == 3 and "parameters_sha256" not in watch.seen[0]
    assert watch.seen[0]["train"]["loss"] > 0


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt()], ids=["failed", "interrupted"])
def test_a_run_without_an_end_has_all_files(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        make(tmp_path / "run", callbacks=[Watch(tmp_path / "run", error)]).fit(X, Y)
    assert names(tmp_path / "run") == set(FILES)
    found = summary(tmp_path / "run")
    assert not found["finished"] and found["steps"] >= 6 and found["state"] == "stopped"
    assert found["train"] == history(tmp_path / "run")[-1]["train"]


def test_the_summary_has_the_scores_of_the_best_state(tmp_path: Path) -> None:
    stopping = EarlyStopping("train.loss", patience=1, min_delta=1e9)  # the first is the best
    trainer = make(tmp_path, callbacks=[stopping], epochs=5).fit(X, Y)
    assert trainer.steps_ == 3 < trainer.steps_run_
    assert summary(tmp_path)["train"] == json.loads(json.dumps(trainer.history_[0]["train"]))


def test_a_run_that_learnt_nothing_leaves_nothing(tmp_path: Path) -> None:
    class Fail(Callback):
        def after_steps(self, run: Any, entries: Any) -> None:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        make(tmp_path / "run", callbacks=[Fail()]).fit(X, Y)
    assert not (tmp_path / "run").exists()
    make(tmp_path).fit(X, Y)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError):
        make(tmp_path, callbacks=[Fail()]).fit(X, 1 - Y)
    with pytest.raises(InputError, match=r"^validation=2\.0"):
        make(tmp_path, batch=20, model=[{"dense": 3}]).fit(X, Y, validation=2.0)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_of_a_program_s_folder_only_the_run_s_files_are_moved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "history.jsonl.1").write_text("mine")
    first = make(tmp_path).fit(X, Y)
    with caplog.at_level(logging.INFO, "daskpar"):
        second = make(tmp_path, seed=1).fit(X, Y)
    assert (
        f"{tmp_path / 'summary.json'} was there already; moved to {tmp_path / 'summary.json.2'}"
        in caplog.text
    )
    assert names(tmp_path) == {"notes.txt", "history.jsonl.1", *FILES, *(f"{name}.2" for name in FILES)}
    old = json.loads((tmp_path / "summary.json.2").read_text())
    assert old["parameters_sha256"] == first.parameters_sha256_
    assert summary(tmp_path)["parameters_sha256"] == second.parameters_sha256_


def test_a_run_that_goes_on_keeps_its_folder(tmp_path: Path) -> None:
    trainer = make(tmp_path).fit(X, Y)
    trainer.fit(X, Y)
    assert names(tmp_path) == set(FILES)
    assert [record["step"] for record in history(tmp_path)] == [3, 6, 9, 12, 15, 18]
    make(tmp_path, epochs=8).fit(X, Y, resume=True)
    assert names(tmp_path) == set(FILES) and summary(tmp_path)["steps"] == history(tmp_path)[-1]["step"]
    daskpar.load(tmp_path, client=THREADED, folder=tmp_path / "tuned").fit(X, 1 - Y)
    assert names(tmp_path / "tuned") == set(FILES)


def test_the_config_is_that_of_the_settings(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "model": ["flatten", {"dense": 4}, "relu", {"residual": [{"dense": 4}]}, {"dense": 10}],
        "loss": {"softmax_cross_entropy": 0.1},
        "schedule": {"cosine": {"warmup": 3}},
        "layout": Layout(data=2, shards=2),
        "clip": Clip(norm=1.0),
        "penalty": Penalty(l2=0.01),
        "transforms": ["standardise"],
        "callbacks": [EarlyStopping("validation.loss", patience=2)],
        "evaluate_every": "5 steps",
        "batch": 128,
        "epochs": 1,
    }
    trainer = make(tmp_path / "mine", **settings)
    trainer.fit(Split(Digits(), high=0.8), validation=0.25)
    config = load_config(str(tmp_path / "mine" / "config.yaml"))
    again = make_trainer(config, THREADED)
    assert again.folder == trainer.folder and describe(again.settings) == describe(trainer.settings)
    assert (config.data.source, config.data.validation, config.data.test) == ("digits", 0.25, 0)


def test_a_config_of_arrays_says_so(tmp_path: Path) -> None:
    make(tmp_path / "run").fit(X, Y)
    with pytest.raises(InputError, match=r"data.source: .* got 'arrays'"):
        load_config(str(tmp_path / "run" / "config.yaml"))


def test_a_block_that_is_not_registered_has_its_reason_in_the_config(tmp_path: Path) -> None:
    class Same(Layer):
        def init(self, rng: Any, in_shape: Any) -> Any:
            return {}, in_shape

        def forward(self, params: Any, x: Any, ctx: Any) -> Any:
            return x, None

        def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> Any:
            return dy, {}

    make(tmp_path, model=[Same(), {"dense": 2}]).fit(X, Y)
    assert "Same is not registered" in yaml.safe_load((tmp_path / "config.yaml").read_text())["model"]


def test_a_disk_that_is_full_for_a_while_does_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "write_curves", full)
    make(tmp_path).fit(X, Y)
    assert len(calls) >= 2 and summary(tmp_path)["finished"]


def test_the_work_beside_a_training_takes_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("daskpar.train.pace.time.perf_counter", lambda: now[0])
    pace = Pace()
    assert pace.is_due
    with pace:
        now[0] += 1
    now[0] += 18.5
    assert not pace.is_due
    now[0] += 1
    assert pace.is_due
