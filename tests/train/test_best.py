"""The best evaluation of a run, by the score that counts."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from daskpar.nn.metrics import Accuracy
from daskpar.train.best import Best, best_of, main_score


def record(step: int, train: dict[str, Any], validation: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "train": train, "validation": validation or {}}


SPEC: Any = SimpleNamespace(metrics=(Accuracy(),))


@pytest.mark.parametrize(
    "train, validation, name",
    [
        ({"loss": 1.0}, {}, "train.loss"),
        ({"loss": 1.0, "accuracy": 0.5}, {}, "train.accuracy"),
        ({"loss": 1.0, "accuracy": 0.5}, {"loss": 1.0}, "validation.loss"),
        ({"loss": 1.0}, {"loss": 1.0, "confusion": [[1]], "accuracy": 0.5, "f1": 0.1}, "validation.accuracy"),
        ({}, {}, None),
    ],
)
def test_the_score_that_counts(train: dict[str, Any], validation: dict[str, Any], name: str | None) -> None:
    assert main_score(record(1, train, validation)) == name


def test_the_best_is_the_first_of_the_best_values() -> None:
    values = [(0.9, 0.1), (math.nan, math.nan), (0.5, 0.7), (0.5, 0.7), (0.6, 0.3)]
    records = [record(10 * i, {"loss": loss, "accuracy": share}) for i, (loss, share) in enumerate(values)]
    assert best_of(SPEC, records, "train.loss") == Best("train.loss", 0.5, 20, 2.0)
    assert best_of(SPEC, records, "train.accuracy") == Best("train.accuracy", 0.7, 20, 2.0)
    assert best_of(SPEC, records, "validation.loss") is None
    assert best_of(SPEC, records[1:2], "train.loss") is None
