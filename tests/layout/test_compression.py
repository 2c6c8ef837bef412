"""Gradients in half precision: what rounding leaves out is handed on later, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph.test_step_graph import counted

from daskpar import Layout, Trainer, tasks
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Split
from daskpar.layout.compression import REMAINDER as WIRE
from daskpar.tasks.state_file import read_slots
from daskpar.tasks.types import Gradient, Spec
from daskpar.train.problem import make_order, make_spec

MODEL: list[Any] = ["flatten", {"dense": 16}, {"batch_norm": {"sync": True}}, "relu", {"dense": 10}]


def spec_of(layout: Layout, precision: str = "float32") -> Spec:
    trainer = Trainer(MODEL, layout=layout, batch=64, precision=precision)
    return make_spec(trainer.settings, Digits(), make_order(trainer.settings, Split(Digits()).rows), [], [])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_is_handed_on_and_what_is_left_are_all_there_was(precision: str) -> None:
    """Over many steps: the sum of what was handed on lacks but what the last step has left out."""
    spec = spec_of(Layout(data=2), precision)
    rng = np.random.default_rng(0)
    size, before = spec.table.size, None
    given, handed_on = np.zeros(size), np.zeros(size)
    for _ in range(50):
        gradient = Gradient((1e-4 * rng.standard_normal(size)).astype(precision), (1.0, 2.0))
        how = (spec, None, gradient, 0, 0, size, before)
        rounded, before = tasks.compress_gradient(*how), tasks.error_feedback(*how)
        assert rounded.buffer.dtype == np.float16
        assert rounded.sums == gradient.sums
        given += gradient.buffer
        handed_on += tasks.gradient_of(rounded).buffer
    scale = np.abs(given).max()
    np.testing.assert_allclose(handed_on + before.buffer, given, rtol=0, atol=1e-6 * scale)
    assert np.abs(before.buffer).max() < 1e-3 * scale


def test_what_running_statistics_come_from_is_not_rounded() -> None:
    """A hundred thousand among gradients near one: it neither loses a digit nor costs the others theirs."""
    spec = spec_of(Layout(data=2))
    buffer = np.random.default_rng(0).standard_normal(spec.table.size).astype(np.float32)
    places = np.zeros(buffer.size, bool)
    for start, stop in spec.table.statistics:
        places[start:stop] = True
    assert places.any()
    buffer[places] = 123456.789
    how = (spec, None, Gradient(buffer, ()), 0, 0, buffer.size, None)
    found = tasks.gradient_of(tasks.compress_gradient(*how)).buffer
    np.testing.assert_array_equal(found[places], buffer[places])
    np.testing.assert_allclose(found[~places], buffer[~places], rtol=1e-3)
    assert not tasks.error_feedback(*how).buffer[places].any()


def test_each_place_in_a_tree_keeps_its_own() -> None:
    """Six lanes meet in two nodes, and all eight hand on halves; a single lane has nobody to hand them to."""
    found = counted(Layout(data=8, fan_in=4, compression="float16"), steps=3, apart=True)
    assert found["compress-gradient"] == found["error-feedback"] == 3 * (8 + 2)
    assert found["save-remainders"] == 1
    assert "compress-gradient" not in counted(Layout(compression="float16"), apart=True)


@pytest.mark.parametrize("lanes", [2, 8])
def test_what_was_left_out_goes_on_under_another_number_of_lanes(tmp_path: Path, lanes: int) -> None:
    common: dict[str, Any] = dict(batch=64, seed=1, precision="float64", client=THREADED, folder=tmp_path)
    Trainer(
        MODEL, layout=Layout(data=4, compression="float16"), steps=20, checkpoint_every="10 steps", **common
    ).fit(Digits())
    (path,) = tmp_path.glob("**/step-*20/state.safetensors")
    layout = Layout(data=lanes, compression="float16")
    spec = spec_of(layout, "float64")
    left = sum(read_slots(spec, str(path), WIRE).values())
    assert np.abs(left).max() > 0
    slots = tuple(f"{WIRE}0-{lane}" for lane in range(lanes))
    how = (0, spec.table.size, str(path), "")
    loaded = [tasks.load_remainder(spec, None, *how, name, slots) for name in slots]
    total = sum(remainder.buffer for remainder in loaded if remainder is not None)
    np.testing.assert_allclose(total, left, rtol=0, atol=1e-18)
    resumed = Trainer(MODEL, layout=layout, steps=30, checkpoint_every="10 steps", **common)
    assert resumed.fit(Digits(), resume=True).steps_ == 30


def test_accuracy_is_that_of_whole_gradients() -> None:
    scores = []
    for compression in ("full", "float16"):
        layout = Layout(data=4, fan_in=2, compression=compression)
        how: dict[str, Any] = dict(batch=64, seed=1, epochs=3, metrics=["accuracy"], client=THREADED)
        trainer = Trainer(MODEL, layout=layout, **how).fit(Digits(), validation=0.2)
        scores.append(trainer.history_[-1]["validation"]["loss"])
    assert scores[1] == pytest.approx(scores[0], rel=0.01)
