"""Scores of a record, from their sums; what improves; how numbers that are not finite are written."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from specs import spec_of

from daskpar import InputError, Layout
from daskpar.tasks.types import Spec
from daskpar.train.history import improves, mean_loss, monitored, pace, scores, to_json, without_value


@pytest.fixture(scope="module")
def spec() -> Spec:
    return spec_of(Layout(), metrics=["accuracy", {"top_k": 2}])


def test_scores_are_sums_over_sums(spec: Spec) -> None:
    """(loss, weights, then of each metric its sum and its weights)"""
    assert scores(spec, (6.0, 4.0, 3.0, 4.0, 2.0, 4.0)) == {"loss": 1.5, "accuracy": 0.75, "top_2": 0.5}
    assert scores(spec, ()) == {}


def test_what_counts_nothing_has_no_value(spec: Spec) -> None:
    found = scores(spec, (0.0,) * 6)
    assert set(found) == {"loss", "accuracy", "top_2"} and all(map(math.isnan, found.values()))
    assert math.isnan(mean_loss(spec, (0.0, 0.0)))


def test_the_loss_is_in_the_units_of_the_targets(spec: Spec) -> None:
    from dataclasses import replace

    from daskpar.tasks.units import Units

    assert mean_loss(replace(spec, units=Units(9.0)), (6.0, 4.0)) == 13.5


@pytest.mark.parametrize(
    "name, value, best, min_delta, better",
    [
        ("validation.loss", 1.0, None, 0.0, True),
        ("validation.loss", 0.9, 1.0, 0.0, True),
        ("validation.loss", 1.0, 1.0, 0.0, False),
        ("validation.loss", 0.9, 1.0, 0.2, False),
        ("validation.loss", 1.1, 1.0, 0.0, False),
        ("validation.accuracy", 0.9, 0.8, 0.0, True),
        ("validation.accuracy", 0.7, 0.8, 0.0, False),
        ("validation.accuracy", 0.85, 0.8, 0.1, False),
        ("validation.loss", math.nan, None, 0.0, False),
        ("validation.loss", math.nan, 1.0, 0.0, False),
        ("validation.loss", math.inf, None, 0.0, False),
        ("validation.loss", 5.0, math.nan, 0.0, True),
        ("train.accuracy", -math.inf, None, 0.0, False),
    ],
)
def test_improvements(
    spec: Spec, name: str, value: float, best: float | None, min_delta: float, better: bool
) -> None:
    assert improves(spec, name, value, best, min_delta) is better


def test_a_monitored_value_is_found_by_part_and_name() -> None:
    record: Any = {"validation": {"loss": 2.0, "auc": None}}
    assert monitored(record, "validation.loss") == 2.0
    assert math.isnan(monitored(record, "validation.auc"))
    with pytest.raises(KeyError):
        monitored(record, "validation.f1")


def test_lines_for_scores_that_are_not_finite(spec: Spec) -> None:
    found = without_value(spec, "train", {"loss": 1.0, "accuracy": math.nan, "top_k": 0.5})
    assert list(found) == ["train.accuracy"] and found["train.accuracy"].startswith(
        "train.accuracy has no value: "
    )
    line = "validation.loss is inf: the model's outputs, or their squares, are not finite"
    assert without_value(spec, "validation", {"loss": math.inf}) == {"validation.loss": line}
    assert without_value(spec, "validation", {"loss": 1.0}) == {}


def test_the_pace_is_the_median_without_the_first_stretch() -> None:
    history: Any = [{"seconds": s} for s in (100.0, 110.0, 116.0, 120.0)]
    assert pace(history, 2) == 5 / 2  # stretches of 6 and 4 seconds, two steps each


def test_json_has_null_for_what_is_not_finite() -> None:
    value = {"a": math.nan, "b": [math.inf, 1.0, (-math.inf,)], "c": {"d": np.float32(0.5)}, "e": "NaN"}
    assert json.loads(to_json(value)) == {"a": None, "b": [None, 1.0, [None]], "c": {"d": 0.5}, "e": "NaN"}
    with pytest.raises(InputError):
        to_json({"a": object()})
