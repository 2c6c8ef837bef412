"""The smallest networks that people try first, with exact expectations."""

from __future__ import annotations

import numpy as np
import pytest

from daskpar import Dense, Layout, Tanh, Trainer
from daskpar.cluster.executor import THREADED


@pytest.mark.parametrize("layout", [Layout(), Layout(data=2), Layout(grain="window")], ids=repr)
def test_xor(layout: Layout) -> None:
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    y = np.array([0, 1, 1, 0])
    trainer = Trainer(
        [Dense(8), Tanh(), Dense(1)],
        loss="binary_cross_entropy",
        metrics=["accuracy"],
        optimizer={"adam": 0.05},
        batch=4,
        client=THREADED,
        epochs=200,
        layout=layout,
        evaluate_every="200 epochs",
    ).fit(x, y)
    assert trainer.predict(x, "classes").ravel().tolist() == [0, 1, 1, 0]
    np.testing.assert_allclose(trainer.predict(x, "probabilities").ravel(), y, atol=0.02)
    assert trainer.evaluate(x, y)["accuracy"] == 1.0


@pytest.mark.parametrize("layout", [Layout(), Layout(data=4), Layout(grain="window")], ids=repr)
def test_linear_regression(layout: Layout) -> None:
    x = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    y = np.array([[2, 3], [4, 5], [6, 7], [8, 9]])
    trainer = Trainer(
        [Dense(2)],
        loss="mean_squared_error",
        metrics=["rmse", "r2"],
        optimizer={"sgd": {"lr": 0.02, "momentum": 0.9}},
        batch=4,
        client=THREADED,
        epochs=3000,
        layout=layout,
        precision="float64",
        evaluate_every="3000 epochs",
    ).fit(x, y)
    np.testing.assert_allclose(trainer.predict(x), y, atol=1e-9)
    np.testing.assert_allclose(trainer.predict(np.array([[9, 10]])), [[10, 11]], atol=1e-8)
    scores = trainer.evaluate(x, y)
    assert scores["loss"] < 1e-18 and scores["rmse"] < 1e-9 and scores["r2"] > 1 - 1e-15
