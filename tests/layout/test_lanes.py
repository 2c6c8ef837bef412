"""Lanes of unequal size: whose rows are whose, and that the result is that of equal ones."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from clusters import workers_in_this_process
from distributed import Client, get_worker
from hypothesis import given
from hypothesis import strategies as st

from daskpar import Layout, Trainer
from daskpar.autotune.measure import lane_weights
from daskpar.cluster.executor import THREADED
from daskpar.errors import InputError
from daskpar.layout.layout import apportioned
from daskpar.nn import Dense, Flatten, Layer, Sequential

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
        ({"lanes": (1, 2), "data": 3}, r"layout\.lanes=\[1, 2\] are 2 lanes, layout\.data=3"),
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
class Uneven(Layer):
    """Takes as long for a row as its worker is slow: worker 1 is three times as slow as worker 0."""

    seconds: float
    kind: ClassVar[str] = "uneven"

    def forward(self, params: Any, x: Any, ctx: Any) -> tuple[Any, Any]:
        with suppress(ValueError):  # the client rehearses, too
            time.sleep(len(x) * self.seconds * (1, 3)[int(get_worker().name)])
        return x, None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Any) -> tuple[Any, Any]:
        return dy, {}


@pytest.mark.slow
def test_a_slow_worker_gets_as_much_less_to_do() -> None:
    """The only test of a time: within 15 % of what speeds of 3 and 1 allow; even lanes take twice as long."""
    rows, row_seconds, steps = 64, 0.002, 20
    model = Sequential((Flatten(), Dense(4), Uneven(row_seconds), Dense(4)))
    cluster = workers_in_this_process(2)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((640, 8)), rng.integers(0, 4, 640)
    with cluster, Client(cluster) as client:
        common: dict[str, Any] = dict(batch=rows, steps=2 * steps, evaluate_every=f"{steps} steps")
        trainer = Trainer(model, client=client, layout=Layout(lanes="auto"), **common).fit(x, y)
    first, second = (record["seconds"] for record in trainer.history_)
    weights = trainer.layout_.lanes
    assert weights[1] == 1 and weights[0] == pytest.approx(3, rel=0.1)
    ideal = rows / (1 / row_seconds + 1 / (3 * row_seconds)) * steps
    assert second - first <= 1.15 * ideal
