"""Lanes of unequal size: whose rows are whose, and that the result is that of equal ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from clusters import workers_in_this_process
from distributed import Client, get_worker
from hypothesis import given, strategies as st

from daskpar import Layout, Trainer
from daskpar.autotune.measure import lane_weights
from daskpar.cluster.executor import THREADED
from daskpar.errors import InputError
from daskpar.layout.layout import apportioned
from daskpar.nn import Dense, Flatten, Layer, Sequential
from daskpar.train import launch

MODEL = ["flatten", {"dense": 16}, "tanh", {"dropout": 0.2}, {"dense": 4}]


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(8, 64))
def test_things_are_shared_out_in_proportion(weights: list[float], things: int) -> None:
    counts = apportioned(things, weights)
    assert sum(counts) == things and min(counts) >= 1
    exact = [things * weight / sum(weights) for weight in weights]
    if min(exact) >= 1:
        assert all(abs(count - share) < 1 for count, share in zip(counts, exact, strict=True))


@pytest.mark.parametrize("replicas", [1, 2])
def test_lanes_have_all_streams_between_them(replicas: int) -> None:
    layout = Layout(lanes=(3, 1, 4), replicas=replicas)
    found = [layout.streams(lane, 16) for lane in range(layout.lane_count)]
    assert [s for streams in found for s in streams] == list(range(16))
    assert [len(streams) for streams in found] == [6, 2, 8] if replicas == 1 else [3, 1, 4] * 2


def fitted(layout: Layout, client: Any = THREADED, **options: Any) -> Trainer:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 8)), rng.integers(0, 4, 200)
    settings: dict[str, Any] = {"batch": 32, "epochs": 2, "precision": "float64", **options}
    return Trainer(MODEL, client=client, layout=layout, **settings).fit(x, y)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(lanes=(3, 1)),
        Layout(lanes=(1, 5, 2), grain="window"),
        Layout(lanes=(3, 1), grain="layer"),
        Layout(lanes=(3, 1), stages=2, microbatches=3, shards=2),
    ],
    ids=["two", "window", "layer", "stages and shards"],
)
def test_uneven_lanes_compute_what_even_ones_do(layout: Layout) -> None:
    expected = fitted(Layout()).parameters_
    for name, value in fitted(layout).parameters_.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_weights_follow_speed_and_lanes_of_a_worker_share_it() -> None:
    assert lane_weights(Layout(data=2), [0.1, 0.3]) == (3.0, 1.0)
    assert lane_weights(Layout(data=3), [0.1, 0.1]) == (1.0, 1.0, 2.0)
    assert lane_weights(Layout(data=2), [0.1]) == (1.0, 1.0)


def test_left_to_be_measured_there_is_a_lane_for_each_worker(threads_client: Any) -> None:
    trainer = fitted(Layout(lanes="auto"), threads_client)
    assert trainer.layout_.data == 2 and trainer.layout_.lanes == (1.0, 1.0)
    assert trainer.layout == Layout(lanes="auto")
    assert trainer.parameters_sha256_ == fitted(Layout(data=2)).parameters_sha256_


@pytest.mark.parametrize(
    "layout, message",
    [
        ({"lanes": (1, 2), "data": 3}, r"layout\.lanes=\[1, 2\] are 2 lanes, but layout\.data=3"),
        ({"lanes": (1, 0)}, r"layout\.lanes=\[1, 0\]: weights must be above zero"),
        ({"lanes": "quick"}, r"layout\.lanes='quick': expected auto, or a list of weights"),
        ({"lanes": ()}, r"layout\.lanes=\(\): expected auto, or a list of weights"),
        ({"lanes": (1,) * 17}, r"layout\.lanes: 17 lanes cannot share the 16 streams"),
    ],
)
def test_refused(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(Layout(**layout))


@dataclass(frozen=True)
class Counted(Layer):
    """Notes the rows of each batch that a worker trains on."""

    kind: ClassVar[str] = "counted"

    def forward(self, params: Any, x: Any, ctx: Any) -> tuple[Any, Any]:
        with suppress(ValueError):  # the client warms up, too
            get_worker()
            seen.add(len(x))
        return x, None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> tuple[Any, Any]:
        return dy, {}


seen: set[int] = set()


def measured_times(*work: object) -> list[float]:
    """Seconds that a worker takes for two operations: worker 1 is three times as slow as worker 0."""
    return [(1.0, 3.0)[int(get_worker().name)], 0.0]


def test_a_slow_worker_gets_as_much_less_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "operation_times", measured_times)
    seen.clear()
    model = Sequential((Flatten(), Dense(4), Counted(), Dense(4)))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((640, 8)), rng.integers(0, 4, 640)
    with workers_in_this_process(2) as cluster, Client(cluster) as client:
        layout = Layout(lanes="auto")
        trainer = Trainer(model, client=client, layout=layout, batch=64, steps=10).fit(x, y)
    assert trainer.layout_.lanes == (3.0, 1.0)
    assert seen == {48, 16}
