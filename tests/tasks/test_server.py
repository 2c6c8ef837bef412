"""Lanes that do not meet: what the server does, what waits for what, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from threading import Condition
from typing import Any, ClassVar

import numpy as np
import pytest

from daskpar import Clip, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits
from daskpar.errors import InputError
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.layout.partition import Span
from daskpar.nn import Dense, Flatten, Layer, Sequential
from daskpar.tasks import ParameterServer
from daskpar.tasks.types import Gradient, Spec
from daskpar.train.problem import make_order, make_spec

MODEL = ["flatten", {"dense": 16}, "tanh", {"dense": 4}]


def blobs(rows: int = 256) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, rows)
    return rng.standard_normal((rows, 8)) + np.eye(4, 8)[y] * 2, y


def fitted(client: Any, layout: Layout, model: Any = MODEL, **options: Any) -> Trainer:
    settings: dict[str, Any] = {"optimizer": {"adam": 1e-2}, "batch": 32, "epochs": 2, "seed": 3, **options}
    resume = settings.pop("resume", False)
    trainer = Trainer(model, client=client, layout=layout, precision="float64", **settings)
    return trainer.fit(*blobs(), resume=resume)


def staleness(trainer: Trainer) -> np.ndarray:
    """That of each step's gradients, (steps, lanes)."""
    return np.array([row for record in trainer.history_ for row in record["each_step"]["staleness"]])


WHOLE = {"clip": Clip(norm=0.5), "optimizer": "lamb"}  # whole tensors and the whole norm: one server


@pytest.mark.parametrize(
    "lanes, fan_in, shards, options",
    [(2, 4, 1, {}), (4, 4, 3, {}), (8, 3, 1, {}), (2, 4, 1, WHOLE), (8, 3, 1, WHOLE)],
)
def test_without_staleness_lanes_compute_what_lanes_that_meet_do(
    threads_client: Any, lanes: int, fan_in: int, shards: int, options: dict[str, Any]
) -> None:
    met = fitted(threads_client, Layout(data=lanes, fan_in=fan_in), **options)
    served = fitted(
        threads_client, Layout(data=lanes, fan_in=fan_in, update="stale", shards=shards), **options
    )
    assert served.parameters_sha256_ == met.parameters_sha256_
    for mine, theirs in zip(served.history_, met.history_, strict=True):
        assert mine["train"]["loss"] == pytest.approx(theirs["train"]["loss"], rel=1e-12)
    assert staleness(served).shape == (16, lanes) and not staleness(served).any()


def test_no_cluster_at_all() -> None:
    met = fitted(THREADED, Layout(data=2))
    assert fitted(THREADED, Layout(data=2, update="stale")).parameters_sha256_ == met.parameters_sha256_
    assert fitted(THREADED, Layout(data=4, update="async", shards=2)).steps_ == 16


def test_processes_too(processes_client: Any) -> None:
    met = fitted(processes_client, Layout(data=2))
    served = fitted(processes_client, Layout(data=2, update="stale", shards=2))
    assert served.parameters_sha256_ == met.parameters_sha256_


@pytest.mark.parametrize("shards", [1, 2])
def test_a_lane_alone_is_never_stale(threads_client: Any, shards: int) -> None:
    whole = fitted(threads_client, Layout())
    served = fitted(threads_client, Layout(update="async", shards=shards))
    for name, value in whole.parameters_.items():
        np.testing.assert_allclose(served.parameters_[name], value, rtol=0, atol=1e-12, err_msg=name)
    assert not staleness(served).any()


def test_a_run_goes_on_from_a_checkpoint_and_under_another_order(threads_client: Any, tmp_path: Any) -> None:
    stale, met = Layout(data=2, update="stale"), Layout(data=2)
    whole = fitted(threads_client, met, epochs=4)
    for first, second in [(stale, stale), (stale, met), (met, stale)]:
        folder = tmp_path / f"{first.update}-{second.update}"
        fitted(threads_client, first, folder=folder)
        found = fitted(threads_client, second, folder=folder, epochs=4, resume=True)
        assert found.resumed_at_ == 16 and found.parameters_sha256_ == whole.parameters_sha256_


def spec_of(layout: Layout, **options: Any) -> Spec:
    trainer = Trainer(["flatten", {"dense": 10}], layout=layout, batch=64, **options)
    return make_spec(trainer.settings, Digits(), make_order(trainer.settings, 1797), [], [])


def server(ordered: bool, lanes: int = 2) -> ParameterServer:
    """One with all parameters, and plain gradient descent."""
    spec = spec_of(Layout(data=lanes, update="stale"), optimizer={"sgd": 1.0}, precision="float64")
    return ParameterServer(spec, Span(0, 0, spec.table.size), lanes, 4, ordered, 0, None)


def test_an_unordered_server_applies_each_gradient_as_it_comes() -> None:
    found = server(ordered=False)
    version, before, *_ = found.pull()
    ones = np.ones_like(before)
    assert version == 0
    assert found.push(0, 0, 0, Gradient(ones, (0.0, 4.0)), 0.1, 0.5).staleness == 0
    assert (
        found.push(1, 0, 0, Gradient(ones, (0.0, 2.0)), 0.1, 0.5).staleness == 1
    )  # it does not know of the first
    assert found.push(0, 1, 1, Gradient(ones, (0.0, 1.0)), 0.1, 0.25).staleness == 1
    version, after, *_ = found.pull()
    assert version == 3
    np.testing.assert_allclose(before - after, 0.1 * (0.5 / 4 + 0.5 / 2 + 0.25), rtol=1e-12)


def test_an_ordered_server_waits_for_all_lanes_of_a_step() -> None:
    found = server(ordered=True)
    before = found.pull().params
    ones = np.ones_like(before)
    assert found.push(1, 0, 0, Gradient(3 * ones, (0.0, 2.0)), 0.1, 0.5).staleness == 0
    assert found.push(1, 1, 0, Gradient(5 * ones, (0.0, 2.0)), 0.1, 0.5).staleness == 1  # a step ahead
    np.testing.assert_array_equal(found.pull().params, before)
    assert found.push(0, 0, 0, Gradient(ones, (0.0, 2.0)), 0.1, 0.5).staleness == 0
    version, after, *_ = found.pull()
    assert version == 1
    np.testing.assert_allclose(before - after, 0.1 * (3 + 1) / 4, rtol=1e-12)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_gradient_that_comes_again_changes_nothing(ordered: bool) -> None:
    found = server(ordered)
    before = found.pull().params
    for _ in range(3):
        assert found.push(0, 0, 0, Gradient(np.ones_like(before), (0.0, 2.0)), 0.1, 0.5).staleness == 0
    once = found.pull().params
    assert found.pull().step == (0 if ordered else 1)
    np.testing.assert_allclose(before - once, 0 if ordered else 0.1 * 0.5 / 2, rtol=1e-12)


@pytest.mark.parametrize("update, bound", [("stale", 0), ("stale", 1), ("stale", 3), ("async", None)])
def test_the_graph_holds_lanes_back_by_the_bound(update: str, bound: int | None) -> None:
    layout = Layout(data=4, update=update, staleness=bound or 0)
    spec, graph = spec_of(layout), Graph("0")
    model = graph.add("load-model", (), lambda: spec)
    streams = range(spec.order.streams)
    chunks = {(s, c): graph.add("load-data", (s, c), lambda: None) for s in streams for c in range(8)}
    builder = Emitter(spec, model, chunks)
    front = builder.start(graph, 0)
    for window in ([0.1] * 2, [0.1] * 6):
        front = builder.window(graph, front, window)
    name = f"grad-{update}"
    for (_, step, lane), task in graph.tasks[name].items():
        waits = {key[1:] for key in task.dependencies if key[0].startswith(name)}
        expected = {(step - 1, lane)} if step else set()
        if bound is not None and step > bound:
            expected |= {(step - 1 - bound, other) for other in range(4)}
        assert waits == expected
    assert graph.actors == [graph.key("parameter-server", 0, 0)]
    _, after = builder.snapshot(graph, front)
    graph_after = builder.window(graph, after, [0.1])
    last = graph.tasks[name][graph_after.logs[0]]
    assert after.values["barrier"][0].key in last.dependencies


STEPS = 16
BEGUN = Condition()
reached: list[int] = []  # by the lane that is not slow
pulled: list[int] = []  # the steps for which the slow one has parameters


@dataclass(frozen=True)
class Slow(Layer):
    """For the rows of the second half of a batch waits until the first half is `ahead` steps further on."""

    first: int
    ahead: int
    kind: ClassVar[str] = "slow"

    def forward(self, params: Any, x: Any, ctx: Any) -> tuple[Any, Any]:
        with BEGUN:
            lane = ctx.training and len(x) > 2  # not the trial of an own layer, which is on two rows
            if lane and ctx.row < self.first:
                assert BEGUN.wait_for(lambda: pulled, timeout=100)
                reached.append(ctx.step)
                BEGUN.notify_all()
            elif lane:
                pulled.append(ctx.step)
                BEGUN.notify_all()
                awaited = min(ctx.step + self.ahead, STEPS - 1)
                assert BEGUN.wait_for(lambda: reached and reached[-1] >= awaited, timeout=100)
        return x, None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> tuple[Any, Any]:
        return dy, {}


def fitted_unevenly(client: Any, layout: Layout, ahead: int) -> np.ndarray:
    """How stale the gradients of two lanes were, of which the second is as slow as that."""
    reached.clear()
    pulled.clear()
    model = Sequential((Flatten(), Dense(8), Slow(16, ahead), Dense(4)))
    options: dict[str, Any] = dict(steps=STEPS, epochs=None, evaluate_every=f"{STEPS} steps")
    return staleness(fitted(client, layout, model, **options)).T


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_a_slow_worker_holds_others_back_by_exactly_the_bound(threads_client: Any, bound: int) -> None:
    layout = Layout(data=2, update="stale", staleness=bound)
    fast, slow = fitted_unevenly(threads_client, layout, ahead=bound)
    assert fast.tolist() == [min(step, bound) for step in range(STEPS)]
    assert not slow.any()


def test_a_slow_worker_does_not_hold_back_others_that_do_not_wait(threads_client: Any) -> None:
    fast, slow = fitted_unevenly(threads_client, Layout(data=2, update="async"), ahead=STEPS)
    assert slow[0] >= STEPS - 1 > fast.max()  # all steps of the other but its last, while it waits


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"layout": {"update": "later"}},
            r"layout\.update='later' is not known; use one of sync, stale, async",
        ),
        ({"layout": {"staleness": 2}}, r"layout\.staleness=2 is for update: stale"),
        ({"layout": {"update": "stale", "staleness": -1}}, r"layout\.staleness=-1 must not be negative"),
        ({"layout": {"update": "async", "stages": 2}}, r"layout\.update=async goes with data and shards"),
        (
            {"layout": {"update": "async", "grain": "window"}},
            r"layout\.update=async goes with data and shards",
        ),
        ({"layout": {"update": "async", "replicas": 2}}, r"layout\.update=async goes with data and shards"),
        (
            {"layout": {"update": "async", "shards": 2}, "clip": Clip(norm=1.0)},
            r"layout\.shards=2: each server applies",
        ),
        ({"layout": {"update": "async", "shards": 2}, "optimizer": "lars"}, r"layout\.shards=2 cuts tensors"),
        (
            {
                "layout": {"update": "stale"},
                "model": ["flatten", {"batch_norm": {"sync": True}}, {"dense": 4}],
            },
            r"layout\.update=stale cannot be had with batch_norm",
        ),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        layout = Layout(**{"data": 2, **options.pop("layout")})
        fitted(THREADED, layout, **options)


def test_steps_come_in_order_in_the_log(threads_client: Any) -> None:
    trainer = fitted(threads_client, Layout(data=2, update="async"))
    steps = [record["step"] for record in trainer.history_]
    assert all(a < b for a, b in pairwise(steps)) and len(staleness(trainer)) == trainer.steps_
