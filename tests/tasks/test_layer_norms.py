"""Norms by layer: those of the states before and after, alike in all layouts, and without effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar import Clip, Trainer

X = np.random.default_rng(0).normal(size=(192, 6))
Y = (X[:, 0] > 0).astype(int)
MODEL = [{"dense": 16}, "relu", {"batch_norm": {}}, {"dense": 16}, "relu", {"dense": 2}]
LAYOUTS: list[dict[str, Any]] = [
    {"data": 4},
    {"grain": "layer"},
    {"grain": "window", "data": 2},
    {"shards": 3},
    {"stages": 2},
    {"stages": 2, "data": 2, "shards": 2},
    {"width": 2},
    {"update": "stale", "data": 2, "shards": 2},
]


def trained(layout: dict[str, Any] | None = None, steps: int = 4, **settings: Any) -> Trainer:
    model = [layer for layer in MODEL if layer != {"batch_norm": {}} or not layout]
    how = {"layer_norms": "1 step", "batch": 48, "verbose": 0, "client": "threaded-scheduler"} | settings
    layout = layout or {}
    return Trainer(model, steps=steps, precision="float64", layout=layout, **how).fit(X, Y)


@pytest.fixture(scope="module")
def norms() -> dict[str, Any]:
    return trained({"data": 1}).history_[-1]["layers"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_layouts_agree_and_norms_change_no_bit(layout: dict[str, Any], norms: dict[str, Any]) -> None:
    measured, off = trained(layout), trained(layout, layer_norms=None)
    assert measured.parameters_sha256_ == off.parameters_sha256_
    assert all("layers" not in record for record in off.history_)
    found = measured.history_[-1]["layers"]
    assert found["names"] == norms["names"] == ["0 dense", "2 dense", "4 dense"]
    assert found["step"] == [1, 2, 3, 4]
    for name in ("gradient_norm", "weight_norm", "update_ratio"):
        np.testing.assert_allclose(found[name], norms[name], rtol=2e-6)  # rounded to 6 digits


def test_replicas_log_means() -> None:
    found = trained({"replicas": 2}).history_[-1]["layers"]
    alone = trained({"data": 1}, steps=1).history_[-1]["layers"]
    np.testing.assert_allclose(found["weight_norm"][0], alone["weight_norm"][0], rtol=2e-6)


def test_norms_are_those_of_the_states() -> None:
    settings: dict[str, Any] = {"optimizer": {"sgd": {"lr": 0.1}}, "clip": Clip(norm=0.05)}
    before, after = trained(steps=1, **settings), trained(steps=2, **settings)
    norms = after.history_[-1]["layers"]
    assert norms["names"] == ["0 dense", "2 batch_norm", "3 dense", "5 dense"] and norms["step"] == [1, 2]
    old, new = before.parameters_, after.parameters_
    for i, name in enumerate(("0", "2", "3", "5")):
        mine = [key for key in old if key.startswith(f"{name}.") and "running" not in key]
        weight = np.sqrt(sum((old[key] ** 2).sum() for key in mine))
        update = np.sqrt(sum(((new[key] - old[key]) ** 2).sum() for key in mine))
        np.testing.assert_allclose(norms["weight_norm"][-1][i], weight, rtol=2e-6)
        np.testing.assert_allclose(norms["update_ratio"][-1][i], update / weight, rtol=2e-6)
        clipped = 0.05 / np.linalg.norm(norms["gradient_norm"][-1])  # norms are those before clipping
        np.testing.assert_allclose(norms["gradient_norm"][-1][i] * clipped * 0.1, update, rtol=1e-5)


def test_interval_and_frozen_layers() -> None:
    found = trained(steps=7, layer_norms="3 steps", frozen=["0.*"], evaluate_every="7 steps")
    norms = found.history_[-1]["layers"]
    assert norms["step"] == [3, 6] and norms["names"] == ["2 batch_norm", "3 dense", "5 dense"]
