"""Checkpoints: whole or not at all, the last k kept, the last good one left."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import daskpar
from daskpar import InputError, NotFiniteError, Trainer
from daskpar.backend import atomic
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits
from daskpar.train.checkpoint import Checkpoints, read_meta
from daskpar.train.interval import Interval

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 10}]


def fitted(folder: Path, **options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 128, "epochs": 4, "client": THREADED, "folder": folder}
    return Trainer(MODEL, **{**settings, **options}).fit(Digits())


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "checkpoints").iterdir())


def test_the_last_k_are_kept(tmp_path: Path) -> None:
    fitted(tmp_path, keep=2)
    assert names(tmp_path) == ["final", "step-00000045", "step-00000060"]
    meta = read_meta(tmp_path / "checkpoints" / "step-00000045")
    assert meta["step"] == 45 and len(meta["history"]) == 3


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = fitted(tmp_path, epochs=1)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    before = names(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(
        InputError, match=r"step-00000099: the checkpoint could not be written \(No space left"
    ):
        checkpoints.save(trainer.spec_, trainer.state_._replace(step=99), {})
    with pytest.raises(InputError, match="the last good one is step-00000015"):
        checkpoints.save(trainer.spec_, trainer.state_, {})
    assert names(tmp_path) == before
    monkeypatch.undo()
    Trainer(MODEL, batch=128).restore(tmp_path / "checkpoints" / "step-00000015")


def test_states_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    trainer = fitted(tmp_path, epochs=1)
    spoilt = trainer.state_._replace(params=np.full_like(trainer.state_.params, np.nan), step=99)
    with pytest.raises(
        NotFiniteError, match=r"step 99: parameter 1.weight is not finite; nothing was written"
    ):
        Checkpoints(tmp_path / "checkpoints").save(trainer.spec_, spoilt, {})
    assert "step-00000099" not in names(tmp_path)


@pytest.mark.parametrize("changed", [{"batch": 64}, {"seed": 1}, {"distribution": "uniform"}])
def test_a_run_cannot_go_on_in_another_order(tmp_path: Path, changed: dict[str, Any]) -> None:
    fitted(tmp_path, epochs=1)
    with pytest.raises(InputError, match=r"the checkpoint was made with .*; set it back, or train"):
        Trainer(MODEL, **{"batch": 128, "folder": tmp_path, "client": THREADED, **changed}).fit(
            Digits(), resume=True
        )


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first = fitted(tmp_path)
    again = Trainer(MODEL, batch=128, epochs=4, client=THREADED, folder=tmp_path).fit(Digits(), resume=True)
    assert again.parameters_sha256_ == first.parameters_sha256_
    assert again.history_ == first.history_


@pytest.mark.parametrize(
    "text, steps", [("1 epoch", 20), ("3 epochs", 60), ("200 steps", 200), ("1 step", 1)]
)
def test_every(text: str, steps: int) -> None:
    assert Interval.parse(text, "every").steps(20) == steps


@pytest.mark.parametrize("text", ["", "0 epochs", "epoch", "1.5 epochs", "1 day", "-1 steps"])
def test_every_refuses(text: str) -> None:
    with pytest.raises(InputError, match=r"^checkpoint\.every=.* is no interval"):
        Interval.parse(text, "checkpoint.every")


def test_no_file_of_a_run_is_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from a stranger is read as numbers and text, and runs nothing."""
    trainer = fitted(tmp_path / "run", epochs=1, transforms=["standardise"], optimizer="adam")
    trainer.save(tmp_path / "model.safetensors")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    kinds = {".safetensors", ".json", ".jsonl", ".yaml", ".html"}
    assert {path.suffix for path in written} == kinds
    for path in written:
        if path.suffix == ".safetensors":
            assert load_file(path)
        else:
            path.read_text(encoding="utf-8")

    class Refused:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise AssertionError("a file was unpickled")

    monkeypatch.setattr(pickle, "load", Refused)
    monkeypatch.setattr(pickle, "loads", Refused)
    monkeypatch.setattr(pickle, "Unpickler", Refused)
    x = Digits().arrays()[0][:9]
    for path in (tmp_path / "model.safetensors", tmp_path / "run"):
        np.testing.assert_array_equal(daskpar.load(path).predict(x), trainer.predict(x))
