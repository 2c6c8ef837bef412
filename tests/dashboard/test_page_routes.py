"""The routes of the training page, on the dashboard of a real scheduler, against the run's own history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from daskpar import Trainer, open_client

NAME = "<script>alert(1)</script>"
X = np.random.default_rng(0).normal(size=(400, 5)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


class Visit:
    """A dashboard after two runs, the second of which has files."""

    def __init__(self, link: str, folder: Path, histories: list[Any]):
        self.link, self.folder, self.histories = link, folder, histories

    def get(self, path: str, method: str = "GET") -> tuple[Any, str]:
        with urlopen(Request(f"{self.link}/{path}", method=method)) as answer:
            return answer.headers, answer.read().decode()

    def metrics(self, query: str = "") -> dict[str, Any]:
        return json.loads(self.get(f"daskpar/metrics.json{query}")[1])

    def status(self, path: str, method: str = "GET") -> int:
        try:
            self.get(path, method)
        except HTTPError as error:
            with error:
                return error.code
        return 200


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("runs") / NAME.replace("/", "∕")
    layers = [{"dense": 8}, "relu", {"dense": 2}]
    with open_client("threads", workers=2, dashboard_port=0) as client:
        settings = {"metrics": ["accuracy"], "layout": {"data": 2}, "client": client, "verbose": 0}
        first = Trainer(layers, steps=7, **settings).fit(X[:300], Y[:300])
        second = Trainer(layers, epochs=3, folder=folder, layer_norms="3 steps", **settings)
        second.fit(X[:300], Y[:300], validation=(X[300:], Y[300:]))
        link = client.dashboard_link.removesuffix("/status")
        yield Visit(link, folder, [second.history_, first.history_])


def test_curves_are_those_of_the_history_to_the_digit(visit: Visit) -> None:
    runs = visit.metrics()["runs"]
    assert [run["state"] for run in runs] == ["finished", "finished"]
    lines = [json.loads(line) for line in (visit.folder / "history.jsonl").read_text().splitlines()]
    for run, history in zip(runs, [lines, visit.histories[1]], strict=True):
        curves = {(s["name"], s["part"], s["each"]): (s["x"], s["y"]) for s in run["series"]}
        each = [value for record in history for value in record["each_step"]["loss"]]
        assert curves["loss", "train", "step"] == (list(range(1, len(each) + 1)), each)
        rates = [value for record in history for value in record["each_step"]["lr"]]
        assert curves["learning_rate", "", "step"][1] == rates
        for part in ("train", "validation"):
            for name in history[-1][part]:
                steps, values = curves[name, part, "evaluation"]
                assert steps == [record["step"] for record in history]
                assert values == [record[part][name] for record in history]
        assert run["scores"]["train"] == history[-1]["train"]
        assert run["step"] == history[-1]["step"] == run["steps"]
    marks = [mark["step"] for mark in runs[0]["marks"] if mark["kind"] == "checkpoint"]
    assert marks == [*(record["step"] for record in lines), lines[-1]["step"]]


def test_norms_by_layer_are_those_of_the_history(visit: Visit) -> None:
    rows = [record["layers"] for record in visit.histories[0] if "layers" in record]
    run = visit.metrics()["runs"][0]
    layers, watched = run["layers"], next(s for s in run["series"] if s["each"] == "watched")
    assert layers["names"] == rows[0]["names"] == ["0 dense", "2 dense"]
    assert layers["steps"] == [step for row in rows for step in row["step"]] == watched["x"]
    for name in ("gradient_norm", "weight_norm", "update_ratio"):
        assert layers[name] == [values for row in rows for values in row[name]]
    assert visit.metrics()["runs"][1]["layers"]["steps"] == []  # 7 steps, and norms at every 50th


def test_pages_in_the_folder_of_a_run_are_shown_within_a_sandbox(visit: Visit) -> None:
    run, other = visit.metrics()["runs"]
    assert (run["files"], other["files"]) == (["curves.html"], [])
    headers, text = visit.get(f"daskpar/runs/{run['id']}/curves.html")
    assert text == (visit.folder / "curves.html").read_text()
    assert "sandbox" in headers["Content-Security-Policy"]
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    for path in (f"{run['id']}/summary.json", f"{run['id']}/report.html", f"{other['id']}/curves.html"):
        assert visit.status(f"daskpar/runs/{path}") == 404
    assert visit.status(f"daskpar/runs/{run['id']}/..%2fcurves.html") == 404


def test_prometheus_has_the_same_digits(visit: Visit) -> None:
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families as families

    text = visit.get("metrics")[1]
    samples = [sample for family in families(text) for sample in family.samples]
    ours = {(s.name, *sorted(s.labels.items())): s.value for s in samples if s.name.startswith("daskpar_")}
    for run in visit.metrics()["runs"]:
        labels = {"run": run["name"], "id": run["id"]}
        assert ours["daskpar_step", *sorted(labels.items())] == run["step"]
        assert ours["daskpar_loss", *sorted(labels.items())] == run["last"]["loss"]
        for part, scores in run["scores"].items():
            for name, value in scores.items():
                assert (
                    ours["daskpar_score", *sorted({**labels, "part": part, "score": name}.items())] == value
                )


def test_a_reader_asks_for_one_run_and_for_what_is_new(visit: Visit) -> None:
    whole = visit.metrics()
    newest = whole["runs"][0]["id"]
    some = visit.metrics(f"?run={newest}")
    assert ["series" in run for run in some["runs"]] == [True, False]
    assert visit.metrics(f"?since={whole['version']}")["runs"][0]["series"] == []
    assert visit.status("daskpar/metrics.json?since=a") == 400


@pytest.mark.parametrize("path", ["daskpar", "daskpar/metrics.json", "daskpar/page.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_route_changes_anything(visit: Visit, path: str, method: str) -> None:
    assert visit.status(path, method) == 405


def test_names_cannot_break_out(visit: Visit) -> None:
    headers, _ = visit.get("daskpar/metrics.json")
    assert headers["Content-Type"].startswith("application/json")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert visit.metrics()["runs"][0]["name"] == visit.folder.name


def test_files_are_those_of_the_page_only(visit: Visit) -> None:
    assert visit.status("daskpar/../metrics.py") == 404
    assert visit.status("daskpar/runs.py") == visit.status("daskpar/other.js") == 404


def test_dask_pages_link_to_it(visit: Visit) -> None:
    assert 'href="daskpar"' in visit.get("status")[1]
    assert "status" in visit.metrics()["dask_pages"]
