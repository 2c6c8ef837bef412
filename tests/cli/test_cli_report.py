"""`daskpar report`: one page about a run or several, whatever is left of them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from daskpar import Trainer
from daskpar.cli import main
from daskpar.nn.layer import LAYERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIL = "<!--<script>alert(1)<"  # of a folder, which has no slash
TAG = "<script>alert(1)</script>"


def report(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(output: Path, *arguments: object) -> str:
    result = report(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{output}: report of ")
    return output.read_text()


class Page(HTMLParser):
    """The sections of a page with their texts, the names of its elements, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.elements: list[str] = []
        self.loads: list[str] = []
        self.section = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append(tag)
        self.section = values.get("id") or "" if tag == "section" else self.section
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source and not source.startswith("data:"):
            self.loads.append(source)

    def handle_data(self, data: str) -> None:
        self.sections[self.section] = self.sections.get(self.section, "") + data + " "

    def __getitem__(self, name: str) -> str:
        return " ".join(self.sections[name].split())


@pytest.fixture(scope="module")
def one(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder that a test may copy, and which is not changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    shutil.copytree(trained.run, folder)
    return folder


@pytest.fixture
def run(one: Path, tmp_path: Path) -> Path:
    shutil.copytree(one, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_run(run: Path) -> None:
    page = Page(written(run / "report.html", run))
    summary = json.loads((run / "summary.json").read_text())
    names = "results curves settings model predictions worst-examples layout graph-of-a-step".split()
    assert list(page.sections)[1:] == [*names, "time-of-a-step", "environment"]
    assert page.loads == []
    assert "state finished steps 40 epochs 2" in page["results"]
    assert f"{summary['goodput']:.1%}" in page["results"]
    assert summary["parameters_sha256"][:12] in page["results"]
    assert f"{summary['test']['accuracy']:.4f}" in page["results"]
    assert "train.batch 64" in page["settings"] and "settings with their defaults" in page["settings"]
    assert "dense units=16" in page["model"]
    right = round(summary["validation"]["accuracy"] * 180)
    assert f"{right} of 180 rows are classified correctly" in page["predictions"]
    assert f"{180 - right} wrong of all 180 rows" in page["worst-examples"]
    pairs = re.findall(r"(\d) → (\d) \(", page["worst-examples"])
    assert len(pairs) == min(24, 180 - right) and all(true != predicted for true, predicted in pairs)
    assert "grad" in page["graph-of-a-step"]
    assert summary["parameters_sha256"] in page["environment"]
    assert summary["machine"]["processor"] in page["environment"]
    assert summary["versions"]["numpy"] in page["environment"]


def test_several_runs(project: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.done("train", run__name="other", train__epochs=1, optimizer="{sgd: {lr: 0.1}}")
    monkeypatch.chdir(project.folder)
    html = written(Path("report.html"), run, project.runs / "other", run)
    page = Page(html)
    assert list(page.sections)[1] == "settings-that-differ"
    differing = "setting tiny other optimizer {adam: {lr: 0.01}} {sgd: {lr: 0.1}} train.epochs 2 1"
    assert page["settings-that-differ"] == f"Settings that differ {differing}"
    assert page["results"].startswith("Results tiny other state finished finished steps 40 20")
    board = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    loss = next(chart for chart in board["charts"] if chart["name"] == "loss")
    assert [(curve["label"], curve["kind"]) for curve in loss["curves"]] == [
        (f"{name}: {label}", f"run{i}{kind}")
        for i, name in enumerate(("tiny", "other"))
        for label, kind in (("train, each step", " raw"), ("train", ""), ("validation", " validation"))
    ]


def test_runs_of_one_name_are_told_apart(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "b" / "tiny")
    page = Page(written(tmp_path / "both.html", run, tmp_path / "b" / "tiny", "-o", tmp_path / "both.html"))
    assert f"{run} {tmp_path / 'b' / 'tiny'} state" in page["results"]
    assert "All settings are the same" in page["settings-that-differ"]


def test_a_run_that_was_killed(run: Path) -> None:
    (run / "summary.json").unlink()
    shutil.rmtree(run / "checkpoints")
    lines = (run / "history.jsonl").read_text().splitlines()
    (run / "history.jsonl").write_text(f"{lines[0]}\n{lines[1][:20]}")
    page = Page(written(run / "report.html", run))
    assert "state running steps 20 epochs 1" in page["results"]
    assert "the run has no checkpoint" in page["model"] and "the run has no checkpoint" in page["predictions"]


def test_a_run_that_has_only_begun(run: Path) -> None:
    for name in ("summary.json", "history.jsonl", "curves.html"):
        (run / name).unlink()
    shutil.rmtree(run / "checkpoints")
    page = Page(written(run / "report.html", run))
    assert "state begun" in page["results"] and "No evaluation yet." in page["curves"]


def test_damaged_parameters(run: Path) -> None:
    for path in run.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    page = Page(written(run / "report.html", run))
    assert "safetensors" in page["model"] and "state finished" in page["results"]


def test_no_rows_are_evaluated(run: Path) -> None:
    page = Page(written(run / "report.html", run, "--rows", 0))
    assert (
        "no rows were evaluated (--rows=0)" in page["predictions"] and "worst-examples" not in page.sections
    )


def test_fewer_rows(run: Path) -> None:
    page = Page(written(run / "report.html", run, "--rows", 50))
    assert "of 50 rows are classified correctly" in page["predictions"]
    assert "50 of the 180 rows of the validation part" in page["predictions"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere: no such folder; expected the folder that"),
        (["file"], "file: a file; expected the folder that"),
        (["."], "not the folder of a run; try tiny"),
        (["tiny", "empty"], "empty: not the folder of a run; expected"),
        (["tiny", "-o", "nowhere/page.html"], "nowhere/page.html: cannot be written"),
    ],
)
def test_refused(arguments: list[str], line: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    Path("file").touch()
    Path("empty").mkdir()
    before = sorted(run.parent.rglob("*"))
    result = report(*arguments)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert line in result.stderr
    assert sorted(run.parent.rglob("*")) == before


def table(path: Path, target: str) -> Path:
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", TAG, "kind", target])
        for x, y in rng.normal(size=(200, 2)).round(3):
            writer.writerow([x, y, rng.choice([TAG, "plain"]), round(3 * x - y, 3)])
    return path


def trained_on(project: Any, path: Path, target: str, units: int, loss: str) -> Path:
    data = {"source": "csv", "path": str(path), "target": target, "transforms": ["encode", "standardise"]}
    project.write(
        {
            "data": data,
            "model": [{"dense": units}],
            "loss": loss,
            "train": {"epochs": 2, "batch": 32},
            "cluster": {"kind": "threaded-scheduler"},
        }
    )
    project.done("train")
    return project.run


def test_numbers_and_data_that_have_gone(project: Any) -> None:
    path = table(project.folder / "table.csv", "price")
    run = trained_on(project, path, "price", 1, "mse")
    page = Page(written(run / "report.html", run))
    assert "mean absolute error" in page["predictions"] and "circle" in page.elements
    assert f"residual a {TAG} kind" in page["worst-examples"]
    path.unlink()
    page = Page(written(run / "report.html", run))
    reason = f"{path}: no such file"
    assert reason in page["predictions"] and reason in page["graph-of-a-step"]
    assert "dense" in page["model"] and "worst-examples" not in page.sections


def test_names_stay_texts(project: Any, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LAYERS, "blocks", dict(LAYERS))  # forgets the layer of this test
    path = table(project.folder / "table.csv", "price")
    run = trained_on(project, path, "kind", 2, "softmax_cross_entropy")
    own = project.folder / "own.py"
    own.write_text(
        "from dataclasses import dataclass\nfrom daskpar import Layer, register\n"
        f"@register({TAG!r})\n@dataclass(frozen=True)\nclass Same(Layer):\n"
        "    def init(self, rng, in_shape):\n        return {}, in_shape\n"
        "    def forward(self, params, x, ctx):\n        return x, None\n"
        "    def backward(self, params, saved, dy, ctx):\n        return dy, {}\n"
    )
    project.write(
        {
            "data": {"source": "digits"},
            "model": [TAG, "flatten", {"dense": 10}],
            "train": {"epochs": 1},
            "cluster": {"kind": "threaded-scheduler"},
        }
    )
    project.done("train", "--import", own, "--profile", run__name="layer")
    x, y = np.random.default_rng(1).normal(size=(64, 4)), np.arange(64) % 2
    Trainer([{"dense": 2}], folder=project.folder / EVIL, epochs=1).fit(x, y)
    output = project.folder / "report.html"
    folders = [run, project.runs / "layer", project.folder / EVIL]
    parsed = Page(written(output, *folders, "-o", output, "--import", own))
    assert parsed.elements.count("script") == 3 + 1  # and the packed profile.html
    assert TAG in parsed["predictions"] and TAG in parsed["model"] and EVIL in parsed["results"]
    assert "the data were arrays in the memory of a program" in parsed["predictions"]

    page = browser.new_page()
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.goto(output.as_uri())
    legend = page.locator("#board figure").first.locator(".legend").all_inner_texts()
    assert any(EVIL in text for text in legend)
    assert page.locator("#board .curve").count() > 6
    page.locator("details.page summary").click()
    frame = page.frame_locator("details.page iframe")
    frame.get_by_text("the step's critical path").wait_for()
    page.close()
    assert said == []
