"""The problem of a training: the order of rows, the Spec, and every refusal before the first step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from specs import MLP, spec_of

from daskpar import Clip, InputError, Layout, Penalty, Trainer
from daskpar.data import Digits, Split
from daskpar.tasks.types import Spec
from daskpar.train.fitting import FittedData
from daskpar.train.problem import all_of, demands_of, make_order, pose
from daskpar.train.settings import Settings


def settings(**options: Any) -> Settings:
    return Trainer(options.pop("model", MLP), **options).settings


@pytest.mark.parametrize(
    "options, rows, batch, streams, steps",
    [
        ({"batch": 60}, 600, 60, 12, 10),
        ({"batch": 64}, 600, 64, 16, 10),  # the last batch is of 24 rows
        ({"batch": 64, "drop_last": True}, 600, 64, 16, 9),
        ({"batch": 64}, 40, 40, 8, 1),  # a batch of more rows than there are is all rows
        ({"batch": 60, "layout": Layout(data=5)}, 600, 60, 10, 10),
        ({"batch": 60, "streams": 10}, 600, 60, 10, 10),
    ],
)
def test_the_order_of_rows(options: dict[str, Any], rows: int, batch: int, streams: int, steps: int) -> None:
    order = make_order(settings(**options), rows)
    assert (order.rows, order.batch, order.steps) == (rows, batch, steps)
    assert order.streams % options.get("layout", Layout()).data == 0 and batch % order.streams == 0
    assert order.streams == streams


def test_chunks_are_the_settings_or_the_sources() -> None:
    assert make_order(settings(), 600, chunk_rows=100).chunk_rows == 100
    assert make_order(settings(chunk_rows=50), 600, chunk_rows=100).chunk_rows == 50


def test_a_resumed_run_keeps_its_streams() -> None:
    saved = make_order(settings(batch=60, layout=Layout(data=5)), 600)
    described = {**asdict(saved), "first_step": 3}
    again = make_order(settings(batch=60), 600, described)
    assert (again.streams, again.first_step) == (10, 3)
    with pytest.raises(
        InputError,
        match=r"^the checkpoint was made with batch=60, this run has 30; set it back, or train anew$",
    ):
        make_order(settings(batch=30), 600, described)


@pytest.mark.parametrize(
    "options, rows, message",
    [
        (
            {"batch": 64, "layout": Layout(data=3)},
            600,
            r"^layout\.data=3 does not divide train\.batch=64; use",
        ),
        (
            {"batch": 64, "layout": Layout(data=16)},
            9,
            r"; a batch is all 9 rows, as train\.batch=64 is more$",
        ),
        ({"epochs": 2, "steps": 3}, 600, r"^train\.epochs=2 and train\.steps=3 both say how long to train"),
    ],
)
def test_orders_that_are_refused(options: dict[str, Any], rows: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_order(settings(**options), rows)


@pytest.mark.parametrize(
    "rows, text", [(1, "the 1 row of training data"), (9, "all 9 rows of training data")]
)
def test_rows_in_words(rows: int, text: str) -> None:
    assert all_of(make_order(settings(), rows)) == text


def test_the_spec_of_digits() -> None:
    spec = spec_of(Layout(data=2), seed=7, clip=Clip(norm=2.0), metrics=["accuracy"])
    assert (spec.in_shape, spec.out_shape, spec.precision, spec.seed) == ((8, 8, 1), (10,), "float32", 7)
    assert spec.table.count == 64 * 8 + 8 + 8 * 10 + 10
    assert (spec.clip, spec.penalty, spec.outer, spec.layout) == (
        Clip(norm=2.0),
        Penalty(),
        None,
        Layout(data=2),
    )
    assert len(spec.partition.places) == 1 and [m.name for m in spec.step_metrics] == ["accuracy"]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, {"accumulate": 3, "clips_norm": False, "synchronised": None, "parameters": 610, "batch": 60}),
        ({"clip": Clip(norm=1.0)}, {"clips_norm": True}),
        (
            {"model": ["flatten", {"batch_norm": {"sync": True}}, {"dense": 10}]},
            {"synchronised": "batch_norm"},
        ),
        ({"model": ["flatten", "batch_norm", {"dense": 10}]}, {"synchronised": None}),
    ],
)
def test_what_a_training_demands_of_its_layout(options: dict[str, Any], expected: dict[str, Any]) -> None:
    demands = demands_of(spec_of(Layout(), **options), 3)
    assert {name: getattr(demands, name) for name in expected} == expected


def test_lanes_of_other_sizes_are_the_same_problem() -> None:
    spec = spec_of(Layout(data=2))
    data = FittedData(Split(Digits()), (), ())
    problem = pose(settings(batch=60, layout=Layout(data=2)), data, None)
    assert isinstance(problem.spec, Spec) and problem.spec.order == spec.order
    other = problem.with_layout(Layout(lanes=(3, 1)))
    assert other.layout == other.settings.layout == other.spec.layout == Layout(lanes=(3, 1))
    assert problem.layout == Layout(data=2) and other.spec.order == problem.spec.order


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layout": Layout(shards=1000)}, r"^layout\.shards=1000 is more than the 610 parameters"),
        ({"accumulate": 2, "layout": Layout(stages=2)}, r"^train\.accumulate=2 is for a model that is not"),
        (
            {"metrics": ["r2"]},
            r"^metric r2: the targets hold a number per example, the model returns \(10,\)",
        ),
        ({"loss": "mse"}, r"^mean_squared_error: the model returns \(10,\) per example, the targets hold a"),
        ({"model": ["flatten", "dense"]}, r"^layer 1: dense\.units is left open, and the data do not say it"),
        ({"model": [{"conv2d": 3}, "flatten", {"conv2d": 3}]}, r"^layer 2: conv2d: expected images"),
        (
            {"frozen": ["nothing.*"]},
            r"^train\.frozen: 'nothing\.\*' matches no parameter; the nearest: 1\.weight",
        ),
    ],
    ids=["shards", "accumulate", "metric", "loss", "open size", "shapes", "frozen"],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    options = dict(options)
    with pytest.raises(InputError, match=message):
        spec_of(options.pop("layout", Layout()), **{"model": MLP, **options})


def test_labels_of_classes_are_the_digits() -> None:
    np.testing.assert_array_equal(spec_of(Layout()).classes, np.arange(10))
