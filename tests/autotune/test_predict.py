"""Predictions from known times of tasks, and how those are measured."""

from __future__ import annotations

from typing import Any

import pytest
from dask.utils import key_split

from daskpar import Layout, Trainer
from daskpar.autotune.cache import Cache
from daskpar.autotune.candidates import candidates, format_layout
from daskpar.autotune.predict import predict, predict_at_scale
from daskpar.autotune.simulate import Cost, Network
from daskpar.autotune.timing import measure_tasks, no_data, scaled, step_graph, task_kind, window_length
from daskpar.config import read_layout
from daskpar.data import Digits, Split
from daskpar.tasks.types import Spec
from daskpar.train.problem import make_order, make_spec

CONV = {"conv2d": {"channels": 2, "padding": "same"}}
MODEL = [CONV, "relu", "flatten", {"dense": 8}, "relu", {"dense": 10}]
LAYOUTS = [
    Layout(),
    Layout(data=2),
    Layout(data=4, shards=2),
    Layout(grain="window"),
    Layout(stages=2, microbatches=2),
    Layout(width=2),
    Layout(tiles=2),
    Layout(replicas=2, average_every=2),
    Layout(data=2, update="stale"),
    Layout(data=2, grain="layer"),
]


def spec_of(layout: Layout) -> Spec:
    trainer = Trainer(MODEL, layout=layout, batch=64)
    return make_spec(trainer.settings, Digits(), make_order(trainer.settings, 1797), [], [])


@pytest.mark.parametrize("layout", LAYOUTS, ids=format_layout)
@pytest.mark.parametrize("apart", [False, True])
def test_every_kind_of_task_is_measured_once_and_found_again(layout: Layout, apart: bool) -> None:
    spec = spec_of(layout)
    costs = measure_tasks(spec, Split(Digits()), 2, apart)
    graph = step_graph(spec, no_data(spec), 2, apart)
    assert {task_kind(graph, key) for key in graph.flat()} <= costs.keys()
    passes = [kind for kind in costs if kind[0].startswith(("grad", "forward-", "train-window"))]
    assert passes and all(costs[kind].seconds > 0 for kind in passes)
    found = predict(spec, costs, 2, Network(hop=1e-3, scheduler=1e-4), apart)
    assert found.seconds > 0 and 0 < found.efficiency <= 1.01 and found.memory > 0


def test_parts_of_a_model_are_kinds_of_their_own() -> None:
    layout = Layout(stages=2, microbatches=2, data=2)
    spec = spec_of(layout)
    graph = step_graph(spec, no_data(spec), 1, False)
    kinds = {task_kind(graph, key) for key in graph.flat() if key_split(key).startswith("forward-stage")}
    assert kinds == {("forward-stage", 0), ("forward-stage", 1)}


GRAD = {("grad",): Cost(1.0, 1000)}


def test_lanes_take_their_time_a_hop_and_what_the_scheduler_does() -> None:
    layout = Layout(data=4)
    network = Network(hop=0.25, scheduler=0.01)
    found = predict(spec_of(layout), GRAD, 4, network, False)
    assert found.seconds == pytest.approx(1 + 0.25 + 4 * 0.01)  # the last of four to be told of
    assert found.efficiency == pytest.approx(1 / found.seconds)
    assert (found.tasks, found.moved) == (4, 4 * 3 * 1000)
    assert found.load == pytest.approx(4 / found.seconds)


def test_at_scale_each_lane_has_the_rows_it_has_now() -> None:
    layout = Layout(data=2)
    spec = scaled(spec_of(layout), 64)
    larger = spec.layout
    assert larger.data == 64 and spec.order.batch == 64 * 32
    assert spec.order.count(0, larger.streams(5, spec.order.streams)) == 32
    fewer = scaled(spec_of(layout), 1).layout
    assert fewer.data == 1
    cut = Layout(data=2, stages=2)
    assert scaled(spec_of(cut), 64).layout == Layout(data=32, stages=2)
    alone = Layout(replicas=2, average_every=4)
    assert scaled(spec_of(alone), 64).layout.replicas == 64


def test_the_scheduler_is_the_limit_in_the_end() -> None:
    layout, network = Layout(data=2), Network(hop=0.001, scheduler=0.01)
    found = [predict_at_scale(spec_of(layout), GRAD, n, network, False) for n in (2, 16, 256)]
    assert [p.efficiency > 0.8 for p in found] == [True, True, False]
    assert 0.7 < found[-1].load * network.scheduler <= 1


def test_replicas_are_submitted_from_average_to_average() -> None:
    layout = Layout(replicas=8, average_every=16, grain="window")
    assert window_length(layout) == 16
    spec = spec_of(layout)
    found = predict(spec, {("train-window",): Cost(16.0, 0)}, 8, Network(), False)
    assert found.seconds == pytest.approx(1.0) and found.tasks < 2


@pytest.mark.parametrize("workers", [1, 2, 4, 6, 8])
def test_candidates_have_a_place_for_each_worker(workers: int) -> None:
    found = candidates(workers)
    assert len(set(found)) == len(found)
    assert {layout.slots for layout in found} <= {1, workers}
    assert all(layout.replicas == 1 and layout.update == "sync" for layout in found)


WRITTEN = [*LAYOUTS, Layout(lanes=(3, 1)), Layout(stages=(3, 2)), *candidates(4)]


@pytest.mark.parametrize("layout", WRITTEN, ids=format_layout)
def test_layouts_are_told_as_they_are_written(layout: Layout) -> None:
    assert Layout(**read_layout(format_layout(layout))) == layout


def test_what_was_measured_is_kept(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    first = Cache("a", 1)
    assert first.get("x") is None
    first.put("x", [1, 2])
    assert Cache("a", 1).get("x") == [1, 2] and Cache("a", 2).get("x") is None
    first.path.write_text("{")  # cut off by a full disk, say
    assert Cache("a", 1).get("x") is None
    monkeypatch.setattr("pooch.os_cache", lambda name: first.path)  # a file where a folder should be
    Cache("a", 1).put("x", 1)
