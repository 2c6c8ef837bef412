"""The graph of a step: tasks, names, hops, and what it does not hold."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dask.utils import key_split

from daskpar import Layout, Trainer, tasks
from daskpar.autotune.count import count
from daskpar.data import Digits, Split
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.graph.load import add_training_data
from daskpar.layout.tree import hops
from daskpar.train.problem import make_order, make_spec
from daskpar.train.tokens import new_token

MODEL = ["flatten", {"dense": 16}, "relu", {"dense": 10}]


SHARING = ["flatten", {"dense": 16}, {"batch_norm": {"sync": True}}, "relu"]
SHARING += [{"residual": [{"batch_norm": {"sync": True}}, {"dense": 16}]}, {"dense": 10}]


def step_graph(
    layout: Layout, steps: int, apart: bool = False, batch: int = 128, layers: Any = MODEL
) -> Graph:
    trainer = Trainer(layers, layout=layout, batch=batch, metrics=["accuracy"])
    part = Split(Digits())
    order = make_order(trainer.settings, part.rows)
    spec = make_spec(trainer.settings, part.source, order, [], [])
    graph = Graph(new_token())
    model = graph.add("load-model", (), tasks.load_model, spec)
    chunks = add_training_data(graph, model, part, spec)
    builder = Emitter(spec, model, chunks, apart)
    front = builder.window(graph, builder.start(graph, 0), [0.1] * steps)
    builder.snapshot(graph, front)
    return graph


@pytest.mark.parametrize(
    "layout, stages, trees, hops",
    [
        (Layout(data=1), 0, 0, 4),  # load-model, load-state, grad, update
        (Layout(data=2), 3, 4, 16),
        (Layout(data=4, grain="stage"), 3, 4, 16),
        (Layout(data=8, fan_in=3), 3, 4, 21),
    ],
)
def test_lanes_meet_twice_for_each_layer_that_shares(
    layout: Layout, stages: int, trees: int, hops: int
) -> None:
    """Two such layers cut the model into three stages; each has a tree forward and a tree backward."""
    found = count(step_graph(layout, 1, layers=SHARING))
    nodes = {1: 0, 2: 1, 4: 1, 8: 4}[layout.data]  # of a tree down to one value, with its fan-in
    assert found.tasks.get("forward-stage", 0) == stages * layout.data
    assert found.tasks.get("backward-stage", 0) == stages * layout.data
    assert found.tasks.get("reduce-statistics", 0) == trees * nodes
    assert found.hops == hops


def counted(layout: Layout, steps: int = 3, **options: Any) -> dict[str, int]:
    found = count(step_graph(layout, steps, **options)).tasks
    return {k: n for k, n in found.items() if not k.startswith("load-") or k == "load-batch"}


@pytest.mark.parametrize(
    "layout, options, expected",
    [
        (Layout(data=1), {}, {"grad": 3, "update": 1}),
        (Layout(data=4), {}, {"grad": 12, "update": 1}),
        (Layout(data=4), {"apart": True}, {"grad": 12, "update": 9}),
        (Layout(data=8), {}, {"grad": 24, "reduce-gradient": 6, "update": 1}),
        (Layout(grain="window"), {}, {"train-window": 1, "update": 1}),
        (
            Layout(data=2, grain="stage"),
            {},
            {
                "load-batch": 6,
                "forward-stage": 6,
                "forward-loss": 6,
                "backward-stage": 6,
                "reduce-gradient": 3,
                "update": 5,
            },
        ),
        (
            Layout(data=2, grain="layer"),
            {},
            {
                "load-batch": 6,
                "forward-flatten": 6,
                "forward-dense": 12,
                "forward-relu": 6,
                "forward-loss": 6,
                "backward-dense": 12,
                "backward-relu": 6,
                "backward-flatten": 6,
                "reduce-gradient": 6,
                "update": 5,
            },
        ),
    ],
)
def test_tasks_and_their_names(layout: Layout, options: dict[str, Any], expected: dict[str, int]) -> None:
    assert counted(layout, **options) == expected


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_hops_of_a_step(lanes: int) -> None:
    """One hop a step up to the fan-in, one more a level of the tree beyond."""
    longest = [count(step_graph(Layout(data=lanes), steps)).hops for steps in (2, 12)]
    assert longest[1] - longest[0] == 10 * hops(lanes, 4)


def test_only_gradients_cross_between_lanes() -> None:
    def crossings(steps: int, apart: bool) -> int:
        return count(step_graph(Layout(data=4), steps, apart)).crossings

    for apart in (False, True):
        assert crossings(9, apart) - crossings(1, apart) == 8 * 4 * 3


@pytest.mark.parametrize("layout", [Layout(data=2), Layout(data=2, grain="layer"), Layout(grain="window")])
def test_no_array_is_embedded(layout: Layout) -> None:
    graph = step_graph(layout, 4)
    for task in graph.flat().values():
        for value in walk(task.args):
            assert not isinstance(value, np.ndarray | bytes), (task.key, type(value))
    assert len(pickle.dumps(graph.flat())) / len(graph) < 600  # bytes a task


def walk(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    if isinstance(value, dict):
        inner: Any = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    else:
        inner = vars(value).values() if hasattr(value, "__dict__") and not callable(value) else ()
    for part in inner:
        yield from walk(part, seen)


def test_the_dashboard_groups_keys_by_operation() -> None:
    graph = step_graph(Layout(data=8), 2)
    for operation, layer in graph.tasks.items():
        assert {key_split(key) for key in layer} == {operation}


def test_lanes_prefer_a_worker_each_and_never_insist() -> None:
    graph = step_graph(Layout(data=4), 1)
    layers = graph.high_level(["a", "b"], 4).layers.values()
    workers: dict[int, set[str]] = {}
    for layer in layers:
        assert layer.annotations["allow_other_workers"] is True
        for key in layer:
            preferred = layer.annotations["workers"](key)
            if key in graph.slots:
                workers.setdefault(graph.slots[key], set()).update(preferred)
            else:
                assert preferred is None
    assert workers == {0: {"a"}, 1: {"a"}, 2: {"b"}, 3: {"b"}}


def test_layers_depend_on_each_other_as_tasks_do() -> None:
    graph = step_graph(Layout(data=8), 2).high_level()
    graph.validate()
    names = {key_split(name): {key_split(d) for d in below} for name, below in graph.dependencies.items()}
    assert names["reduce-gradient"] == {"grad"}
    assert names["grad"] == {"load-model", "load-data", "load-state", "reduce-gradient"}
