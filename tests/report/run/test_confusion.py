"""Confusion of classes: counts to the digit, for few classes, many, and very many."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar.report.run.confusion import confusion


def measured(true: Any, predicted: Any, names: list[str], task: str = "classes") -> Any:
    both = np.array(true), np.array(predicted)
    network = SimpleNamespace(classes=names)
    return SimpleNamespace(decisions=lambda: both, network=network, task=task, counted="all rows")


def rows(html: str) -> list[str]:
    texts = [re.sub(r"<[^>]*>", " ", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    return [" ".join(text.split()) for text in texts]


def test_few_classes() -> None:
    html = confusion(measured([0, 0, 0, 1, 2], [0, 0, 1, 1, 0], ["a", "<b>", "c"]))
    assert "3 of 5 rows are classified correctly (60.00%)" in html and "<b>" not in html
    assert rows(html)[1:] == [
        "a 2 1 · 3 66.7%",
        "&lt;b&gt; · 1 · 1 100.0%",
        "c 1 · · 1 0.0%",
        "precision 66.7% 50.0% –",
    ]


@pytest.mark.parametrize(("classes", "image"), [(30, True), (100_000, False)])
def test_many_classes(classes: int, image: bool) -> None:
    true = np.array([[3, 3, 4], [29, 29, 29]])
    predicted = np.array([[3, 5, 5], [5, 5, 29]])
    html = confusion(measured(true, predicted, [f"c{i}" for i in range(classes)]))
    assert "2 of 6 positions" in html and ("<img" in html) == image
    pairs, all_classes = rows(html.split("<details")[0]), rows(html.split("<details")[1])
    assert pairs[1:] == ["c29 c5 2 66.7%", "c3 c5 1 50.0%", "c4 c5 1 100.0%"]
    assert len(all_classes) - 1 == min(classes, 400)
    assert "c29 33.3% 100.0% 3" in all_classes


def test_separate_labels() -> None:
    html = confusion(measured([[1, 0], [1, 1], [0, 0]], [[1, 1], [0, 1], [0, 0]], ["x", "y"], "labels"))
    assert rows(html)[1:] == ["x 1 1 0 50.0% 100.0%", "y 1 0 1 100.0% 50.0%"]
