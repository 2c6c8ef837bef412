"""Tasks of a layout, timed and weighed over a few of its steps."""

from __future__ import annotations

from typing import Any

import pytest
from dask.utils import key_split
from specs import spec_of as described

from daskpar import Layout
from daskpar.autotune.candidates import format_layout
from daskpar.autotune.predict import predict
from daskpar.autotune.simulate import Network
from daskpar.autotune.timing import measure_tasks, no_data, scaled, step_graph, task_kind, window_length
from daskpar.data import Digits, Split
from daskpar.tasks.types import Spec

CONV = {"conv2d": {"channels": 2, "padding": "same"}}
MODEL: list[Any] = [CONV, "relu", "flatten", {"dense": 8}, "relu", {"dense": 10}]
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
    return described(layout, MODEL, batch=64)


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


@pytest.mark.parametrize(
    "layout, steps",
    [
        (Layout(data=4), 1),
        (Layout(grain="window"), 8),
        (Layout(replicas=2, average_every=5, grain="window"), 5),  # from average to average
        (Layout(replicas=2, average_every=5), 1),
    ],
    ids=str,
)
def test_steps_that_are_submitted_as_one(layout: Layout, steps: int) -> None:
    assert window_length(layout) == steps


def test_a_graph_ends_with_what_the_client_waits_for() -> None:
    graph = step_graph(spec_of(Layout(data=2)), no_data(spec_of(Layout(data=2))), 3, False)
    assert {key[1] for key in graph.tasks["grad"]} == {0, 1, 2}
    (end,) = graph.tasks["end"]
    assert {key[:2] for key in graph.flat()[end].dependencies} == {("grad-0plan", 2)}
