"""curves.html: all of a run in one small page, whatever its length, and cheap while the run goes on."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar.report.curves import Curves, write_curves
from daskpar.report.curves.series import Curve, charts, thinned
from daskpar.train.history import to_json


def records(evaluations: int, steps: int = 10, metrics: int = 1) -> list[dict[str, Any]]:
    found = []
    for k in range(1, evaluations + 1):
        losses = [2 / (1 + (k - 1) * steps + i) for i in range(steps)]
        scores = {"loss": losses[-1], **{f"score {m}": 1 - losses[-1] for m in range(metrics)}}
        found.append(
            {
                "step": k * steps,
                "epoch": k / 2,
                "lr": 0.1,
                "train": scores,
                "validation": {name: value + 0.01 for name, value in scores.items()},
                "seconds": 2.0 * k,
                "examples_per_second": 100.0,
                "each_step": {"loss": losses, "lr": [0.1] * steps},
            }
        )
    return found


def data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_every_curve_is_there_with_its_points() -> None:
    found = {chart["name"]: chart["curves"] for chart in data(Curves(records(3), "run").html())["charts"]}
    assert {name: [curve["label"] for curve in curves] for name, curves in found.items()} == {
        "loss": ["train, each step", "train", "validation"],
        "score 0": ["train", "validation"],
        "learning rate": ["learning rate"],
        "examples a second": ["examples a second"],
    }
    each, train, _ = found["loss"]
    assert each["x"] == list(range(1, 31)) and each["y"][0] == 2
    assert train["x"] == [10, 20, 30] and train["y"][-1] == pytest.approx(2 / 30, rel=1e-4)
    assert found["examples a second"][0]["y"] == [100, 100, 100]


def cells(html: str) -> dict[str, list[str]]:
    rows = re.findall(r"<tr><th>(.*?)</th>(.*?)</tr>", html)
    return {unescape(name): re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for name, row in rows}


def test_the_best_the_last_and_the_final_figures() -> None:
    history = records(3)
    history[1]["validation"] = {"loss": 0.001, "score 0": 0.999}
    results = {"train": {"loss": 0.5}, "test": {"loss": 0.25, "score 0": 0.125, "confusion": [[1]]}}
    found = cells(Curves(history, "run", results, larger=["score 0"]).html())
    ends = ["train, at the end", "test, at the end"]
    assert found[""] == ["best, validation", "at step", "last, validation", *ends]
    assert found["loss"] == ["0.0010", "20", "0.0767", "0.5000", "0.2500"]
    assert found["score 0"] == ["0.9990", "20", "0.9433", "–", "0.1250"]
    assert "confusion" not in found
    smallest = cells(Curves(history, "run").html())["score 0"]
    assert smallest[:2] == ["0.8100", "10"], "nobody said that larger is better"


def test_without_validation_the_best_is_that_of_training() -> None:
    history = [{**record, "validation": {}} for record in records(2)]
    found = cells(Curves(history, "run").html())
    assert found[""][0] == "best, train" and found["loss"][1] == "20"


@pytest.mark.parametrize("evaluations, steps, metrics", [(1, 1, 0), (4000, 10, 2), (60, 5000, 12)])
def test_a_page_is_small(tmp_path: Path, evaluations: int, steps: int, metrics: int) -> None:
    path = tmp_path / "curves.html"
    write_curves(records(evaluations, steps, metrics), path, "run")
    text = path.read_text()
    assert len(text.encode()) < 400_000
    assert not re.search(r"""(src|href|action)=|@import|url\((?!#)""", text), (
        "it needs nothing from elsewhere"
    )


def test_nothing_yet() -> None:
    html = Curves([], "run").html()
    assert data(html)["charts"] == [] and "no evaluation yet" in html


def test_values_that_are_missing_are_gaps() -> None:
    history = records(3)
    history[0]["each_step"]["loss"][3] = math.inf
    history[1]["validation"]["score 0"] = math.nan
    for some in (history, json.loads(to_json(history))):  # as in memory, and as in history.jsonl
        found = {chart["name"]: chart["curves"] for chart in data(Curves(some, "run").html())["charts"]}
        assert found["loss"][0]["y"][3] is None
        assert found["score 0"][1]["y"][1] is None
    assert cells(Curves([{**history[1], "step": 1}], "run").html())["score 0"] == ["–", "–", "–"]


def test_names_are_text() -> None:
    name = "</script><b>"
    history = records(1)
    history[0]["train"][name] = 0.5
    html = Curves(history, name, {"test": {name: 0.5}}).html()
    assert name not in html and data(html)["title"] == name
    assert name in [chart["name"] for chart in data(html)["charts"]]


def test_few_points_keep_every_peak() -> None:
    y = np.zeros(10_000)
    y[[0, 1234, 5678, 9999]] = 1, 9, -9, 2
    y[3000:3100] = np.nan
    thin = thinned(Curve("c", "train", np.arange(10_000), y), 200)
    assert len(thin.x) <= 200 and {0, 1234, 5678, 9999} <= set(thin.x.tolist())
    assert (np.diff(thin.x) > 0).all() and (thin.y == y[thin.x])[~np.isnan(thin.y)].all()


def test_the_pace_between_evaluations() -> None:
    history = records(3)
    history[2].update(seconds=8.0, examples_per_second=75.0)  # 200 more examples in 4 s
    pace = next(chart for chart in charts(history) if chart.name == "examples a second").curves[0]
    assert pace.y.tolist() == [100, 100, 50]


def test_a_notebook_gets_a_frame_of_its_own() -> None:
    html = Curves(records(1), "<run>")._repr_html_()
    inner = re.fullmatch(r'<iframe srcdoc="([^"]*)" width="100%" [^<>]*></iframe>', html)
    assert inner is not None and unescape(inner[1]) == Curves(records(1), "<run>").html()


def test_the_page_of_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    path = tmp_path / "curves.html"
    for running in (True, False):
        write_curves(records(2), path, "run", running=running)
        html = path.read_text()
        assert data(html)["running"] is running and ("still running" in html) is running
