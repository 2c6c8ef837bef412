"""The first hour of a new user, from a table to a model that is used elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

import daskpar
from daskpar import Callback, Dense, Layer, Loss, Metric, NeuralClassifier, ReLU, Trainer

X, Y = load_digits(return_X_y=True)
MODEL = [Dense(32), ReLU(), Dense(10)]


@pytest.fixture
def shop(tmp_path: Path) -> pd.DataFrame:
    """A table with gaps, texts and bools, and a label that follows from it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, 600).astype(float),
            "city": rng.choice(["Rome", "Oslo", "Lima"], 600),
            "member": rng.random(600) > 0.5,
            "income": np.where(rng.random(600) < 0.1, np.nan, rng.normal(3e4, 9e3, 600)),
        }
    )
    frame["bought"] = np.where((frame["age"] > 40) ^ (frame["city"] == "Oslo"), "yes", "no")
    frame.to_csv(tmp_path / "shop.csv", index=False)
    return frame


def test_a_csv_becomes_predictions_in_ten_lines(shop: pd.DataFrame, tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "shop.csv")
    X, y = frame.drop(columns="bought"), frame["bought"]
    trainer = Trainer(
        [Dense(32), ReLU(), Dense()],
        transforms=["impute", "encode", "standardise"],
        learning_rate=0.01,
        epochs=20,
    ).fit(X, y, validation=0.2)
    trainer.save(tmp_path / "shop.safetensors")
    predicted = daskpar.load(tmp_path / "shop.safetensors").predict(X, "classes")
    assert np.mean(predicted == y) > 0.95


class Interrupt(Callback):
    """Presses Ctrl-C once, after the second evaluation."""

    pressed = False

    def after_evaluation(self, run: Any, record: Any) -> None:
        if record["epoch"] >= 2 and not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_also_from_its_folder(tmp_path: Path) -> None:
    whole = Trainer(MODEL, epochs=6, batch=128).fit(X, Y)
    trainer = Trainer(MODEL, epochs=6, batch=128, callbacks=Interrupt(), folder=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt, match="`fit` continues from there"):
        trainer.fit(X, Y)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "history.jsonl", "summary.json", "curves.html", "checkpoints"} <= names
    elsewhere = daskpar.load(tmp_path / "run")
    np.testing.assert_array_equal(elsewhere.predict(X[:50]), trainer.predict(X[:50]))
    assert trainer.fit(X, Y).parameters_sha256_ == whole.parameters_sha256_


def test_a_loaded_model_is_tuned_to_other_classes(tmp_path: Path) -> None:
    Trainer(MODEL, epochs=10, transforms=["standardise"]).fit(X, Y).save(tmp_path / "digits")
    tuned = Trainer([Dense(32), ReLU(), Dense(2)], frozen=["0.*"], epochs=10)
    tuned.restore(tmp_path / "digits", strict=False)
    before = dict(tuned.parameters_)
    low = np.where(Y < 5, "low", "high")
    assert np.mean(tuned.fit(X, low).predict(X, "classes") == low) > 0.9
    np.testing.assert_array_equal(tuned.parameters_["0.weight"], before["0.weight"])


def test_a_search_finds_the_better_rate() -> None:
    search = GridSearchCV(
        NeuralClassifier(hidden=(16,), epochs=5, random_state=0), {"learning_rate": [1e-6, 1e-2]}, cv=2
    )
    assert search.fit(X / 16, Y).best_params_ == {"learning_rate": 1e-2}


class Scale(Layer):
    """y = x · weight."""

    def init(self, rng: Any, in_shape: Any) -> Any:
        return {"weight": np.ones(in_shape[-1])}, in_shape

    def forward(self, params: Any, x: Any, ctx: Any) -> Any:
        return x * params["weight"], x

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> Any:
        return dy * params["weight"], {"weight": (dy * saved).sum(axis=0)}


class Squares(Loss):
    """The sum of squares."""

    def __call__(self, outputs: Any, targets: Any) -> Any:
        error = outputs[:, 0] - targets
        return float((error**2).sum()), float(len(error)), 2 * error[:, None]


class Worst(Metric):
    """The mean of the absolute errors, which is what `worst` is called here."""

    name = "worst"

    def sums(self, outputs: Any, targets: Any, loss: Any) -> Any:
        return float(abs(outputs[:, 0] - targets).sum()), float(len(outputs))


class Keep(Callback):
    """Keeps the metric of each evaluation."""

    def before_training(self, run: Any) -> None:
        self.values: list[float] = []

    def after_evaluation(self, run: Any, record: Any) -> None:
        self.values.append(record["train"]["worst"])


def test_own_parts_of_a_few_lines_train() -> None:
    daskpar.check_layer(Scale(), (4,))
    x = np.random.default_rng(0).normal(size=(256, 4))
    keep = Keep()
    trainer = Trainer(
        [Scale(), Dense(1)], loss=Squares(), metrics=[Worst()], callbacks=keep, learning_rate=0.05, epochs=20
    )
    trainer.fit(x, x.sum(axis=1))
    assert keep.values[0] > 10 * keep.values[-1]
