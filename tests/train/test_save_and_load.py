"""A saved Trainer comes back from a file, a checkpoint or a run's folder, and needs to be told nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import daskpar
from daskpar import Callback, Clip, Dense, EarlyStopping, Ensemble, InputError, Layout, Penalty, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.nn import Layer, ReLU, Sequential
from daskpar.nn.registry import LAYERS
from daskpar.train.description import describe, described
from daskpar.train.saved import META, saved_at
from daskpar.train.settings import Settings

RNG = np.random.default_rng(0)
X = RNG.normal(3, 5, size=(96, 5)).astype(np.float32)
MODEL = [{"dense": 6}, "tanh", {"dense": 3}]
NUMBERS = (X[:, :1] > 3).astype(int) + (X[:, 1:2] > 3)
Y = NUMBERS[:, 0]


def fit(model: Any = MODEL, y: Any = Y, kind: Any = Trainer, **settings: Any) -> Trainer:
    trainer = kind(model, **{"batch": 16, "client": THREADED, "epochs": 2, **settings})
    return trainer.fit(X, y)


def same(trainer: Trainer, loaded: Trainer, y: Any = Y) -> None:
    assert type(loaded) is type(trainer)
    kinds = ["outputs"] if loaded.spec_.loss.task == "numbers" else ["outputs", "probabilities", "classes"]
    for kind in kinds:
        ours, theirs = trainer.predict(X, kind), loaded.predict(X, kind)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    assert loaded.evaluate(X, y) == trainer.evaluate(X, y)


def line(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as error:
        daskpar.load(path, **settings)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


LABELS = {
    "numbers": np.array([10, 20, 30])[Y],
    "negative": np.array([-1, 0, 7])[Y],
    "texts": np.array(["ant", "bee", "über"])[Y],
    "objects": np.array(["ant", "bee", "cat"], object)[Y],
    "floats": np.array([0.5, 1.5, 2.5])[Y],
    "column": NUMBERS,
    "small": Y.astype(np.uint8),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind_come_back(y: np.ndarray, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"transforms": ["standardise"], "metrics": ["accuracy"]}
    if y.dtype.kind == "f":
        settings["targets"] = ["labels"]
    trainer = fit(y=y, **settings)
    loaded = daskpar.load(trainer.save(tmp_path / "a"), client=THREADED)
    same(trainer, loaded, y)
    assert np.array_equal(loaded.classes_, trainer.classes_)
    assert loaded.classes_.dtype == trainer.classes_.dtype


SETTINGS: dict[str, dict[str, Any]] = {
    "float64": {"precision": "float64", "seed": 2**65 + 1},
    "numbers": {"loss": "mean_squared_error", "targets": ["standardise"], "metrics": ["rmse", "r2"]},
    "layout": {"layout": Layout(data=2, shards=2), "clip": Clip(norm=1.0), "penalty": Penalty(l2=0.1)},
    "replicas": {"layout": Layout(replicas=2, average_every=3, outer={"sgd": {"momentum": 0.9}})},
    "schedule": {"schedule": {"cosine": {"warmup": 3}}, "optimizer": {"sgd": {"momentum": 0.9}}},
    "metrics": {"metrics": ["accuracy", {"top_k": 2}, "confusion"], "accumulate": 2},
    "built": {"model": Sequential((Dense(4), ReLU(), Dense(3)), remat=True)},
    "stopping": {"callbacks": [EarlyStopping("train.loss", patience=1)], "epochs": 4},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_all_settings_come_back(settings: dict[str, Any], tmp_path: Path) -> None:
    y = X[:, :3] if "loss" in settings else Y
    trainer = fit(**{"y": y, **settings})
    loaded = daskpar.load(trainer.save(tmp_path / "a"), client=THREADED)
    same(trainer, loaded, y)
    assert describe(loaded.settings) == describe(trainer.settings)
    assert loaded.history_ == json.loads(json.dumps(trainer.history_))
    assert (loaded.steps_, loaded.seconds_) == (trainer.steps_, trainer.seconds_)
    for slot, values in trainer.state_.slots.items():
        assert slot not in loaded.state_.slots or np.array_equal(loaded.state_.slots[slot], values)


def test_a_run_s_folder_a_checkpoint_and_a_file_are_loaded_alike(tmp_path: Path) -> None:
    trainer = fit(folder=tmp_path / "run", transforms=["standardise"])
    final = tmp_path / "run" / "checkpoints" / "final"
    for path in (
        tmp_path / "run",
        final.parent,
        final,
        final / "state.safetensors",
        trainer.save(tmp_path / "f"),
    ):
        loaded = daskpar.load(str(path), client=THREADED)
        same(trainer, loaded)
        assert loaded.folder is None and loaded.steps_ == trainer.steps_
    earlier = daskpar.load(tmp_path / "run" / "checkpoints" / "step-00000006")
    assert earlier.steps_ == 6 and earlier.parameters_sha256_ != trainer.parameters_sha256_


def test_of_a_run_without_an_end_the_last_checkpoint_is_loaded(tmp_path: Path) -> None:
    class Fail(Callback):
        def after_evaluation(self, run: Any, record: dict[str, Any]) -> None:
            if record["step"] == 12:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(folder=tmp_path / "run", callbacks=[Fail()])
    assert daskpar.load(tmp_path / "run").steps_ == 6


def test_another_process_needs_to_know_nothing(tmp_path: Path) -> None:
    trainer = fit(y=LABELS["texts"], transforms=["standardise"])
    trainer.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", X)
    program = (
        "import daskpar, numpy as np; trainer = daskpar.load('model.safetensors');"
        "print(*trainer.predict(np.load('x.npy'), 'classes'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == trainer.predict(X, "classes").tolist()


def test_settings_given_to_load_take_the_place_of_those_saved(tmp_path: Path) -> None:
    path = fit().save(tmp_path / "a")
    loaded = daskpar.load(path, epochs=5, optimizer="sgd", metrics=["accuracy"], client=THREADED)
    assert (loaded.epochs, loaded.batch, loaded.state_.slots) == (5, 16, {})
    assert 0 <= loaded.evaluate(X, Y)["accuracy"] <= 1
    slower = daskpar.load(path, optimizer={"adam": 1e-5})
    assert slower.spec_.optimizer.lr == 1e-5 and np.any(slower.state_.slots["mean"])
    assert daskpar.load(path, precision="float64").predict(X).dtype == np.float64


def test_one_of_two_settings_takes_the_place_of_both(tmp_path: Path) -> None:
    path = fit(learning_rate=0.25, warm_start=False).save(tmp_path / "a")
    steps = daskpar.load(path, steps=3, client=THREADED)
    assert (steps.epochs, steps.steps, steps.learning_rate) == (None, 3, 0.25)
    assert steps.fit(X, Y).steps_ == 12 + 3  # it goes on, whatever the first training did
    assert daskpar.load(path, optimizer={"sgd": 0.5}).learning_rate is None


def test_a_loaded_trainer_is_saved_and_loaded_again(tmp_path: Path) -> None:
    trainer = fit(y=LABELS["texts"])
    first = trainer.save(tmp_path / "a")
    second = daskpar.load(first).save(tmp_path / "new" / "b")
    assert saved_at(first).meta == saved_at(second).meta
    ours, theirs = safetensors.numpy.load_file(first), safetensors.numpy.load_file(second)
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert daskpar.load(second, client=THREADED).fit(X, LABELS["texts"]).steps_run_ > 0


def test_an_ensemble_comes_back_from_its_folder_and_from_a_file(tmp_path: Path) -> None:
    ensemble = fit(kind=Ensemble, members=3, folder=tmp_path / "run", y=LABELS["texts"])
    for path in (tmp_path / "run", ensemble.save(tmp_path / "a")):
        loaded = daskpar.load(path, client=THREADED)
        assert isinstance(loaded, Ensemble) and loaded.members == 3
        same(ensemble, loaded, LABELS["texts"])
        ours, theirs = ensemble.members_[2], loaded.members_[2]
        assert np.array_equal(ours.state_.slots["mean"], theirs.state_.slots["mean"])
        assert theirs.history_ == json.loads(json.dumps(ours.history_)) and theirs.seed == 2
    with pytest.raises(InputError, match="3 finished members there, expected 2"):
        Ensemble(MODEL, members=2).restore(tmp_path / "a")


def test_saving_within_a_callback_saves_what_the_training_ended_with(tmp_path: Path) -> None:
    class Save(Callback):
        def after_training(self, run: Any) -> None:
            run.save(tmp_path / "a")

    trainer = fit(callbacks=[Save()])
    assert daskpar.load(tmp_path / "a").parameters_sha256_ == trainer.parameters_sha256_


# blocks of one's own


@dataclass(frozen=True)
class Twice(Layer):
    """2 x."""

    def init(self, rng: Any, in_shape: Any) -> Any:
        return {}, in_shape

    def forward(self, params: Any, x: Any, ctx: Any) -> Any:
        return x * 2, None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> Any:
        return dy * 2, {}


def test_a_block_that_is_not_registered_is_asked_for(tmp_path: Path) -> None:
    model = [Dense(4), Twice(), Dense(3)]
    trainer = fit(model=model, folder=tmp_path / "run")
    for path in (tmp_path / "run", trainer.save(tmp_path / "a")):
        told = line(path)
        assert f"{path}: model is not kept there (layer 1: " in told and "Twice is not registered" in told
        same(trainer, daskpar.load(path, model=model, client=THREADED))


def squares(outputs: Any, targets: Any) -> Any:
    return ((outputs - targets) ** 2).sum(axis=1), 2 * (outputs - targets)


def test_a_function_is_asked_for(tmp_path: Path) -> None:
    trainer = fit(y=X[:, :3], loss=squares)
    told = line(trainer.save(tmp_path / "a"))
    assert "loss is not kept there (the function squares" in told and "load(..., loss=...)" in told
    same(trainer, daskpar.load(tmp_path / "a", loss=squares, client=THREADED), X[:, :3])


@dataclass(frozen=True)
class Wider(Dense):
    """A Dense by name and by its fields, and yet another layer."""


def test_a_subclass_of_a_registered_block_is_another_block(tmp_path: Path) -> None:
    assert "Wider is not registered" in line(fit(model=[Wider(3)]).save(tmp_path / "a"))


BLOCKS = """
from dataclasses import dataclass
from daskpar import register
from daskpar.nn import Layer, Loss, Dense

@register("around")
@dataclass(frozen=True)
class Around(Layer):
    inner: Layer
    scale: float = 1.0

    def init(self, rng, in_shape):
        return self.inner.init(rng, in_shape)

    def forward(self, params, x, ctx):
        y, saved = self.inner.forward(params, x, ctx)
        return y * self.scale, saved

    def backward(self, params, saved, dy, ctx):
        return self.inner.backward(params, saved, dy * self.scale, ctx)
"""


def test_a_registered_block_needs_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_blocks_of_saved_models.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(tmp_path)
    blocks = import_module("my_blocks_of_saved_models")
    trainer = fit(model=[blocks.Around(Dense(3), 0.5)], folder=tmp_path / "run")
    for path in (tmp_path / "run", trainer.save(tmp_path / "a")):
        same(trainer, daskpar.load(path, client=THREADED))
        with monkeypatch.context() as patch:
            patch.delitem(LAYERS.blocks, "around")  # as in a process that did not import it
            told = line(path)
        import_it = "import my_blocks_of_saved_models first, or pass model= to load"
        assert told == f"{path}: model has 'around', which is not registered here; {import_it}"
    monkeypatch.delitem(LAYERS.blocks, "around")


def test_settings_that_are_no_blocks_come_back() -> None:
    about = json.loads(json.dumps(describe(Settings(MODEL, loss={"huber": 2}))))
    assert Settings(**described(about)).loss == daskpar.Huber(2.0)
    assert described(about, ["model", "loss"]).keys().isdisjoint({"model", "loss", "client", "folder"})


# what cannot be loaded


def test_what_cannot_be_loaded_is_told_in_a_line(tmp_path: Path) -> None:
    path = fit().save(tmp_path / "a")
    whole = path.read_bytes()
    assert line(tmp_path / "gone") == f"{tmp_path / 'gone'}: no such file or folder"
    assert "no checkpoint there" in line(tmp_path)
    assert "'epoch' is called 'epochs'" in line(path, epoch=3)
    for content in (b"", b"abc", whole[:100], whole[:-20], b"\x80\x04K\x01."):
        (tmp_path / "b").write_bytes(content)
        assert "not a file of Trainer.save, or one that was cut short" in line(tmp_path / "b")
    safetensors.numpy.save_file({"w": X}, tmp_path / "b")
    assert "it describes no Trainer" in line(tmp_path / "b")
    header = int.from_bytes(whole[:8], "little")
    newer = whole.replace(b'{\\"version\\": 1, ', b'{\\"version\\": 9, ', 1)
    (tmp_path / "b").write_bytes(newer)
    assert header and "written in format 9 by a newer daskpar" in line(tmp_path / "b")
    assert "input should be" in line(path, batch="many") or "batch" in line(path, batch="many")
    with pytest.raises(InputError, match="not fitted yet"):
        Trainer(MODEL).save(tmp_path / "c")
    with pytest.raises(InputError, match="a folder; save writes one file"):
        fit().save(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        fit().save(path / "within")
    assert path.read_bytes() == whole


def test_checkpoints_that_cannot_be_loaded_are_told_in_a_line(tmp_path: Path) -> None:
    fit(folder=tmp_path)
    meta = tmp_path / "checkpoints" / "final" / META
    about = json.loads(meta.read_text())
    meta.write_text(json.dumps({**about, "description": {**about["description"], "version": 2}}))
    assert "written in format 2 by a newer daskpar" in line(tmp_path)
    meta.write_text(json.dumps({name: value for name, value in about.items() if name != "description"}))
    assert "a checkpoint of an earlier version" in line(tmp_path)
    Trainer(MODEL).restore(tmp_path)
    unknown = {**about["description"]["settings"], "sparkle": 3}
    meta.write_text(json.dumps({**about, "description": {**about["description"], "settings": unknown}}))
    assert "the setting sparkle is not known to daskpar" in line(tmp_path)
    meta.write_text("{")
    assert "not a readable checkpoint" in line(tmp_path)


def test_a_first_layer_that_keeps_the_shape_is_restored(tmp_path: Path) -> None:
    x = np.zeros((8, 6, 6, 1))
    trainer = Trainer(
        [{"random_shift": 1}, "flatten", {"dense": 2}], folder=tmp_path, client="threaded-scheduler"
    )
    trainer.fit(x, np.arange(8) % 2)
    assert daskpar.load(tmp_path).spec_.in_shape == (6, 6, 1)
