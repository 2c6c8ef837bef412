"""Predictions from known times of tasks."""

from __future__ import annotations

import pytest
from specs import spec_of as described

from daskpar import Layout
from daskpar.autotune.predict import predict, predict_at_scale
from daskpar.autotune.simulate import Cost, Network
from daskpar.autotune.timing import window_length
from daskpar.tasks.types import Spec

CONV = {"conv2d": {"channels": 2, "padding": "same"}}
MODEL: list[object] = [CONV, "relu", "flatten", {"dense": 8}, "relu", {"dense": 10}]


def spec_of(layout: Layout) -> Spec:
    return described(layout, MODEL, batch=64)


GRAD = {("grad",): Cost(1.0, 1000)}


def test_lanes_take_their_time_a_hop_and_what_the_scheduler_does() -> None:
    layout = Layout(data=4)
    network = Network(hop=0.25, scheduler=0.01)
    found = predict(spec_of(layout), GRAD, 4, network, False)
    assert found.seconds == pytest.approx(1 + 0.25 + 4 * 0.01)  # the last of four to be told of
    assert found.efficiency == pytest.approx(1 / found.seconds)
    assert (found.tasks, found.moved) == (4, 4 * 3 * 1000)
    assert found.load == pytest.approx(4 / found.seconds)


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
