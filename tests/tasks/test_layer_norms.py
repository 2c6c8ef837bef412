"""Norms by layer: those of the states before and after, alike in all layouts, and without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import spec_of

from daskpar import Callback, Clip, Layout, NotFiniteError, Trainer
from daskpar.backend.norm import square_of
from daskpar.layout.owners import owned
from daskpar.tasks.layer_norms import Measurement, layer_names

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
    {"width": 2, "stages": 2, "shards": 2},
    {"update": "stale", "data": 2, "shards": 2},
]
TILED = [{"conv2d": {"channels": 4, "kernel": 3}}, {"batch_norm": {"sync": True}}, "flatten", {"dense": 10}]


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


@pytest.mark.parametrize(
    "model, cut",
    [
        (MODEL, {}),
        (MODEL, {"shards": 3}),
        (MODEL, {"stages": 2, "width": 2, "shards": 2}),
        (TILED, {"tiles": 2}),
    ],
    ids=str,
)
def test_squares_of_all_owners_are_those_of_numpy(model: list[Any], cut: dict[str, Any]) -> None:
    """Frozen parameters, running statistics and the copies of tiles are left out."""
    model = model if model is TILED else ["flatten", *model]
    spec = spec_of(Layout(**cut), model, precision="float64", frozen=["*.shift"])
    draws, table = np.random.default_rng(0), spec.table
    arrays = [draws.normal(size=entry.shape) for entry in table.entries for _ in range(3)]
    values = [{e.name: arrays[3 * n + k] for n, e in enumerate(table.entries)} for k in range(3)]
    gradient, before, after = (table.pack(named, "float64") for named in values)
    sums = np.zeros(3 * len(layer_names(spec)))
    for span, _ in owned(spec.layout, spec.partition):
        parts = [gradient, before, after]
        if span is not None:
            place = spec.partition.places[span.place]
            whole = [place.take(table, part, np.zeros(place.table.size)) for part in parts]
            parts = [part[span.start : span.stop] for part in whole]
        sums += Measurement(spec, span, *parts[:2]).squares(parts[2])
    wanted = []
    for squared in (values[0], values[1], {name: values[2][name] - w for name, w in values[1].items()}):
        for layer in layer_names(spec):
            mine = [e.name for e in table.entries if e.name.split(".")[0] == layer.split()[0] and e.trains]
            wanted.append(sum((squared[name] ** 2).sum() for name in mine))
    np.testing.assert_allclose(sums, wanted, rtol=1e-12)


@pytest.mark.parametrize("norms", [None, "1 step"])
def test_a_run_that_diverges_ends_with_the_same_error(norms: str | None) -> None:
    """Squares beyond the range of float64 are infinite, and no error of their own."""
    how: dict[str, Any] = {"loss": "squared_error", "optimizer": {"sgd": 1e40}, "precision": "float64"}
    trainer = Trainer([{"dense": 1}], steps=8, batch=48, layer_norms=norms, verbose=0, **how)
    with pytest.raises(NotFiniteError, match="step 4: the loss is inf"):
        trainer.fit(X, X[:, :1] * 2)


def test_squares_of_many_float32_keep_six_digits() -> None:
    values = np.random.default_rng(0).normal(size=4_000_000).astype(np.float32)
    assert square_of(values) == pytest.approx((values.astype(np.float64) ** 2).sum(), rel=1e-6)


class Interrupt(Callback):
    """Interrupts a run at its first evaluation."""

    def after_evaluation(self, run: Any, record: Any) -> None:
        raise KeyboardInterrupt


def test_a_resumed_run_has_the_norms_of_an_unbroken_one(tmp_path: Path) -> None:
    """The checkpoint lies between two evaluations, and has the norms since the last."""
    how: dict[str, Any] = {
        "evaluate_every": "4 steps",
        "checkpoint_every": "3 steps",
        "layer_norms": "2 steps",
    }
    unbroken = trained(steps=9, **how)
    with pytest.raises(KeyboardInterrupt):
        trained(steps=9, folder=tmp_path, callbacks=[Interrupt()], **how)
    again = Trainer(MODEL, steps=9, precision="float64", batch=48, verbose=0, folder=tmp_path, **how)
    again.fit(X, Y, resume=True)
    assert again.resumed_at_ in (3, 6)  # neither is an evaluation
    assert [r["layers"] for r in again.history_ if "layers" in r] == [
        r["layers"] for r in unbroken.history_ if "layers" in r
    ]
