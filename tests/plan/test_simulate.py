"""Graphs played through."""

from __future__ import annotations

from typing import Any

import pytest
from dask.utils import key_split

from daskpar import Layout, Trainer, tasks
from daskpar.data import Digits, Split
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.graph.load import add_training_data
from daskpar.plan.simulate import Cost, Network, simulate
from daskpar.train.problem import make_order, make_spec

DEEP = ["flatten", *[{"dense": 32}] * 8, {"dense": 10}]
PASSES = {"forward-stage": 1.0, "backward-stage": 2.0}


def passes(key: Any) -> Cost:
    return Cost(PASSES.get(key_split(key), 0.0))


def step_graph(layout: Layout, apart: bool = False, model: Any = DEEP, steps: int = 1) -> Graph:
    trainer = Trainer(model, layout=layout, batch=128)
    part = Split(Digits())
    order = make_order(trainer.settings, part.rows)
    spec = make_spec(trainer.settings, part.source, order, [], [])
    graph = Graph("0a")
    key = graph.add("load-model", (), tasks.load_model, spec)
    builder = Emitter(spec, key, add_training_data(graph, key, part, spec), apart)
    builder.window(graph, builder.start(graph, 0), [0.1] * steps)  # type: ignore[arg-type]
    return graph


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("pipeline", ["gpipe", "1f1b"])
@pytest.mark.parametrize("stages, micros", [(2, 2), (2, 8), (4, 4), (4, 8), (3, 1)])
def test_the_bubble_of_a_step_s_graph(pipeline: str, stages: int, micros: int, apart: bool) -> None:
    """torchgpipe's formula, counted on the tasks as they are submitted."""
    layout = Layout(stages=stages, microbatches=micros, pipeline=pipeline)
    found = simulate(step_graph(layout, apart), passes, stages, stages)
    assert found.idle == pytest.approx((stages - 1) / (micros + stages - 1))
    assert found.seconds == pytest.approx(3.0 * (micros + stages - 1))


@pytest.mark.parametrize("pipeline, alive", [("gpipe", [6, 6, 6]), ("1f1b", [3, 2, 1])])
@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_activations_alive(pipeline: str, alive: list[int], spread: float) -> None:
    """No stage goes ahead of its schedule, however long tasks take."""
    graph = step_graph(Layout(stages=3, microbatches=6, pipeline=pipeline))
    found = simulate(graph, lambda key: Cost(passes(key).seconds * (1 + spread)), 3, 3)
    for stage, expected in enumerate(alive):
        events = []
        for key, (start, stop) in found.ran.items():
            verb = str(key[0]).split("-")[0]
            if verb in ("forward", "backward") and "stage" in str(key[0]) and key[3] == stage:
                events.append((start, 1) if verb == "forward" else (stop, -1))
        held = most = 0
        for _, change in sorted(events):
            held += change
            most = max(most, held)
        assert most == expected


def test_lanes_side_by_side_and_what_crosses() -> None:
    graph = step_graph(Layout(data=4), model=["flatten", {"dense": 10}], steps=3)

    def cost(key: Any) -> Cost:
        return Cost(1.0, 100) if key_split(key) == "grad" else Cost()

    alone, four = (simulate(graph, cost, workers, 4) for workers in (1, 4))
    assert (alone.seconds, four.seconds, four.idle) == (12.0, 3.0, 0.0)
    assert alone.moved == 0 and four.moved == 2 * 4 * 3 * 100  # two exchanges, of each with three others
    slow = simulate(graph, cost, 4, 4, Network(hop=0.25, bandwidth=200))
    assert slow.seconds == pytest.approx(3 + 2 * 0.75 + 2 * 0.25)  # data and model come with a hop each
    shared = simulate(graph, cost, 4, 4, Network(cores=2))
    assert shared.seconds == 6.0
    queued = simulate(graph, cost, 4, 4, Network(scheduler=0.1))
    assert queued.seconds > 3 + 2 * 0.4


def test_memory_is_what_is_held_at_once() -> None:
    """Two stages, a value kept from forward to backward for each micro-batch that is alive."""
    for pipeline, alive in (("gpipe", 6), ("1f1b", 2)):
        graph = step_graph(Layout(stages=2, microbatches=6, pipeline=pipeline))
        found = simulate(graph, lambda key: Cost(1.0, 10 * key[0].startswith("forward-stage")), 2, 2)
        assert found.memory[0] in (10 * alive, 10 * (alive + 1))
