"""Autoencoders: the examples are what is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import InputError, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Inputs

FLAT = ["flatten", {"dense": 16}, "relu", {"dense": 64}]


def make(model: Any = FLAT, **options: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 64, "loss": "mean_squared_error", "targets": ["inputs"]}
    return Trainer(model, **{**settings, "epochs": 2, "client": THREADED, **options})


def images() -> np.ndarray:
    return (Digits().arrays()[0] / 16).astype(np.float32)


@pytest.mark.parametrize("entry", ["inputs", {"inputs": None}, Inputs()])
def test_they_are_what_targets_given_by_hand_would_be(entry: Any) -> None:
    x = images()
    expected = make(targets=[]).fit(x, x.reshape(len(x), -1))
    assert make(targets=[entry]).fit(x).parameters_sha256_ == expected.parameters_sha256_
    assert make(targets=[entry]).fit(x, np.arange(len(x))).parameters_sha256_ == expected.parameters_sha256_


def test_after_the_transforms() -> None:
    """Pixels from 0 to 1, and what was fitted on the training part."""
    found = make(transforms=["standardise"], precision="float64").fit(Digits())
    x = images().astype(np.float64).reshape(-1, 64)
    spread = np.where(x.std(axis=0) > 0, x.std(axis=0), np.inf)
    x = ((x - x.mean(axis=0)) / spread).reshape(-1, 8, 8, 1)
    expected = make(targets=[], precision="float64").fit(x, x.reshape(-1, 64))
    np.testing.assert_allclose(found.state_.params, expected.state_.params, atol=1e-9)


def test_images_for_a_model_that_returns_images() -> None:
    trainer = make([{"dense": 3}, {"dense": 4}], metrics=["rmse"]).fit(np.eye(4)[np.arange(200) % 4])
    assert trainer.spec_.targets[0].apply(np.zeros((2, 4))).shape == (2, 4)
    assert set(trainer.history_[-1]["train"]) == {"loss", "rmse"}


def test_dask_arrays_files_and_processes(threads_client: Any, processes_client: Any) -> None:
    x = images()
    expected = make(optimizer={"sgd": 0.1}).fit(x, validation=(x[:100], x[:100]))
    for client in (THREADED, threads_client, processes_client):
        for data in (x, da.from_array(x, chunks=(400, 8, 8, 1))):
            found = make(client=client, optimizer={"sgd": 0.1}).fit(data, validation=(x[:100], x[:100]))
            assert found.parameters_sha256_ == expected.parameters_sha256_


def test_evaluate_predict_and_restore(tmp_path: Path) -> None:
    x = images()
    trainer = make(folder=tmp_path).fit(x)
    error = float(np.mean((trainer.predict(x) - x.reshape(len(x), -1)) ** 2))
    assert trainer.evaluate(x)["loss"] == pytest.approx(error, rel=1e-5)
    again = make().restore(tmp_path / "checkpoints" / "final")
    assert again.evaluate(x) == trainer.evaluate(x)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"targets": ["inputs", "scale"]}, "inputs stands alone, in data.targets"),
        ({"targets": ["one_hot", "inputs"]}, "inputs stands alone, in data.targets"),
        ({"transforms": ["inputs"]}, "inputs stands alone, in data.targets"),
        (
            {"model": ["flatten", {"dense": 63}]},
            "mean_squared_error: the model returns (63,) per example, the targets hold (8, 8, 1)",
        ),
        ({"loss": "softmax_cross_entropy"}, "targets are not probabilities"),
        ({"distribution": "stratified"}, "distribution stratified needs one class an example"),
    ],
)
def test_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        make(**options).fit(Digits())
    assert message in str(error.value) and "\n" not in str(error.value)
