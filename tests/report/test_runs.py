"""Runs in a folder: found wherever they are, and read whatever their files are like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daskpar import InputError
from daskpar.report.run_filter import Filter, ordered, select
from daskpar.report.runs import FoundRun, find_runs

NOW = 1_800_000_000.0
SUMMARY: dict[str, Any] = {
    "train": {"loss": 0.2, "accuracy": 0.97},
    "validation": {"loss": 0.5, "accuracy": 0.8, "confusion": [[1, 2], [3, 4]]},
    "test": {"loss": 0.6, "accuracy": 0.79},
    "best": {
        "validation.accuracy": {"value": 0.9, "step": 20, "epoch": 2.0},
        "validation.loss": {"value": 0.4, "step": 20, "epoch": 2.0},
    },
    "state": "finished",
    "finished": True,
    "seconds": 12.5,
    "examples_per_second": 1234.5,
    "goodput": 0.75,
    "badput": {"start": 3.0},
    "epochs": 4.0,
    "steps": 40,
    "parameters": 4810,
    "layout": {"data": 2, "fan_in": 4, "stages": 1, "grain": "step", "lanes": None, "recompute": False},
    "layout_text": "data: 2, grain: step",
}
RECORD: dict[str, Any] = {
    "step": 30,
    "epoch": 3.0,
    "lr": 0.1,
    "train": {"loss": 0.3},
    "validation": {"loss": 0.4, "f1": 0.7},
    "seconds": 9.0,
    "examples_per_second": 99.0,
    "each_step": {"loss": [0.5] * 10, "lr": [0.1] * 10},
}


def write(folder: Path, summary: Any = None, *records: Any, age: float = 10.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("model: []")
    if summary is not None:
        (folder / "summary.json").write_text(summary if isinstance(summary, str) else json.dumps(summary))
    texts = (record if isinstance(record, str) else json.dumps(record) + "\n" for record in records)
    (folder / "history.jsonl").write_text("".join(texts))
    for path in folder.glob("*.json*"):
        os.utime(path, (NOW - age, NOW - age))
    return folder


def read(folder: Path) -> FoundRun:
    (run,) = find_runs(folder, NOW)
    return run


def test_all_is_in_the_summary(tmp_path: Path) -> None:
    folder = write(tmp_path / "cnn", SUMMARY)
    run = read(tmp_path)
    assert run.values == {
        "name": "cnn",
        "state": "finished",
        "when": NOW - 10,
        "layout": "data: 2, grain: step",
        "steps": 40,
        "epochs": 4.0,
        "seconds": 12.5,
        "examples_per_second": 1234.5,
        "best": "validation.accuracy",
        "value": 0.9,
        "goodput": 0.75,
        "parameters": 4810,
        "folder": str(folder),
    }
    assert [
        run.get(key) for key in ("accuracy", "test.accuracy", "layout.data", "layout.grain", "other")
    ] == [
        0.9,
        0.79,
        2,
        "step",
        None,
    ]


def test_a_run_without_a_summary_has_the_last_evaluation(tmp_path: Path) -> None:
    write(tmp_path, None, {**RECORD, "step": 10}, RECORD)
    run = read(tmp_path)
    assert run.values["name"] == tmp_path.name, "the folder may be a run itself"
    assert [run.get(k) for k in ("steps", "seconds", "best", "value", "loss")] == [
        30,
        9.0,
        "validation.f1",
        0.7,
        0.4,
    ]
    assert [run.get(key) for key in ("goodput", "parameters", "layout")] == [None] * 3


def test_a_summary_of_an_earlier_version(tmp_path: Path) -> None:
    new = ("best", "state", "goodput", "badput", "epochs", "layout_text")
    write(tmp_path, {key: value for key, value in SUMMARY.items() if key not in new})
    run = read(tmp_path)
    assert [run.get(key) for key in ("state", "best", "value", "layout", "goodput")] == [
        "finished",
        "validation.accuracy",
        0.8,
        "data: 2",
        None,
    ]


@pytest.mark.parametrize(
    "ends, step",
    [
        (['{"step": 3'], 30),
        ([json.dumps({**RECORD, "step": 40})[:-20]], 40),  # all but some values of steps are there
        ([json.dumps({**RECORD, "each_step": {"loss": [0.5] * 60_000}, "step": 40}) + "\n"], 40),
        (["{}\n", "\n", "nonsense\n"], 30),
        ([json.dumps({"step": 50, "train": {"loss": 0.1}, "validation": {}}) + "\n"], 50),
    ],
    ids=["half a number", "half the values", "a long line", "nonsense", "no values"],
)
def test_the_last_whole_record_counts(tmp_path: Path, ends: list[str], step: int) -> None:
    write(tmp_path, None, RECORD, *ends)
    assert read(tmp_path).get("steps") == step


def test_of_a_long_history_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskpar.report.runs._BLOCK", 2000)
    monkeypatch.setattr("daskpar.report.runs._LONGEST_LINE", 10_000)
    write(tmp_path, None, *[RECORD] * 100, {**RECORD, "step": 77})
    assert read(tmp_path).get("steps") == 77
    write(tmp_path, None, RECORD, "x" * 20_000)
    assert read(tmp_path).get("steps") is None, "a line that is too long is not looked for"


@pytest.mark.parametrize(
    "summary",
    [
        "",
        '{"finished": tr',
        "[]",
        "null",
        "\x00" * 9,
        "[" * 100_000,
        '{"steps": "9", "best": 3, "train": []}',
    ],
)
def test_files_that_cannot_be_read_leave_question_marks(tmp_path: Path, summary: str) -> None:
    write(tmp_path, summary)
    run = read(tmp_path)
    assert [run.get(k) for k in ("steps", "seconds", "best", "value", "goodput", "layout")] == [None] * 6
    assert run.get("when") == NOW - 10


def test_numbers_that_are_none(tmp_path: Path) -> None:
    text = json.dumps(
        {**SUMMARY, "seconds": float("nan"), "parameters": 10**400, "goodput": True, "best": {}}
    )
    write(tmp_path, text.replace("0.8", "Infinity"))
    run = read(tmp_path)
    assert [run.get(key) for key in ("seconds", "parameters", "goodput")] == [None] * 3
    assert run.get("best") == "validation.loss"


@pytest.mark.parametrize(
    "changes, age, state",
    [
        ({}, 1e6, "finished"),
        ({"finished": False, "state": "running"}, 59.0, "running"),
        ({"finished": False, "state": "running"}, 61.0, "stopped"),
        ({"finished": False, "state": "running", "seconds": 4000.0, "epochs": 4.0}, 2990.0, "running"),
        ({"finished": False, "state": "running", "seconds": 4000.0, "epochs": 4.0}, 3010.0, "stopped"),
        ({"finished": False, "state": "stopped"}, 1.0, "stopped"),
    ],
)
def test_states(tmp_path: Path, changes: dict[str, Any], age: float, state: str) -> None:
    write(tmp_path, {**SUMMARY, **changes}, age=age)
    assert read(tmp_path).get("state") == state


def test_runs_are_found_in_folders_of_folders_but_not_in_checkpoints(tmp_path: Path) -> None:
    for name in ("a", "a.1", "sweep/deep/b", "a/inner", "a/checkpoints/x", "a/checkpoints.1/y", ".hidden/z"):
        write(tmp_path / name, SUMMARY)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "no run").mkdir()
    (tmp_path / "no run" / "summary.json").write_text("{}")
    write(tmp_path / "only a config")
    (tmp_path / "only a config" / "history.jsonl").unlink()
    assert {run.get("name") for run in find_runs(tmp_path, NOW)} == {"a", "a.1", "a/inner", "sweep/deep/b"}


def test_a_list_needs_no_numpy_and_no_dask(tmp_path: Path) -> None:
    """A thousand runs are there at once since next to nothing is imported."""
    write(tmp_path / "cnn", SUMMARY)
    code = (
        "import sys; from daskpar.cli import main; main(['runs', sys.argv[1]], standalone_mode=False); "
        "print(sorted({'numpy', 'dask', 'distributed', 'numba', 'yaml'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]" and "cnn" in done.stdout


# filters and orders


@pytest.fixture
def three(tmp_path: Path) -> list[FoundRun]:
    write(tmp_path / "cnn-10", SUMMARY, age=0)
    slow = {"best": {"validation.accuracy": {"value": 0.95}}, "layout": {"data": 4}, "layout_text": "data: 4"}
    write(tmp_path / "CNN-9", {**SUMMARY, **slow, "goodput": 0.5}, age=90_000)
    write(tmp_path / "mlp", {"steps": 3, "finished": True, "layout_text": "stages: 2, width: 3"}, age=50)
    return sorted(find_runs(tmp_path, NOW), key=lambda run: str(run.get("name")))


@pytest.mark.parametrize(
    "expressions, names",
    [
        ([], ["CNN-9", "cnn-10", "mlp"]),
        (["accuracy>0.9"], ["CNN-9"]),
        (["accuracy >= 0.9"], ["CNN-9", "cnn-10"]),
        (["accuracy<0.93", "name~CNN"], ["cnn-10"]),
        (["name~cnn"], ["CNN-9", "cnn-10"]),
        (["name!~cnn"], ["mlp"]),
        (["name=cnn-9"], ["CNN-9"]),
        (["name!=mlp", "goodput<=50%"], ["CNN-9"]),
        (["layout=data"], ["CNN-9", "cnn-10"]),
        (["layout=data:4"], ["CNN-9"]),
        (["layout=data: 2, grain: step"], ["cnn-10"]),
        (["layout=width"], ["mlp"]),
        (["layout!=data"], ["mlp"]),
        (["layout.data>2"], ["CNN-9"]),
        (["steps=40"], ["CNN-9", "cnn-10"]),
        (["steps==3"], ["mlp"]),
        (["steps!=3"], ["CNN-9", "cnn-10"]),
        (["steps=many"], []),
        (["name>3"], []),
        (["test.accuracy=0.79", "state=finished"], ["CNN-9", "cnn-10"]),
        (["when<2027-01-14T20:00"], ["CNN-9"]),
    ],
)
def test_filters(three: list[FoundRun], expressions: list[str], names: list[str]) -> None:
    assert [run.get("name") for run in select(three, map(Filter.parse, expressions))] == names


@pytest.mark.parametrize(
    "expression, words",
    [
        ("accuracy", "expected KEY, one of"),
        (">3", "expected KEY"),
        ("accuracy>", "expected a number after >"),
        ("accuracy<high", "expected a number after <"),
        ("when>soon", "expected a date such as 2026-01-31 after >"),
        ("acuracy>0.5", "'acuracy' is not known; did you mean 'accuracy'"),
        ("layout.dat=2", "did you mean 'layout.data'"),
    ],
)
def test_filters_refused(three: list[FoundRun], expression: str, words: str) -> None:
    with pytest.raises(InputError, match=r"^--filter") as refused:
        select(three, [Filter.parse(expression)])
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "key, reverse, names",
    [
        ("name", False, ["CNN-9", "cnn-10", "mlp"]),  # numbers in names count as numbers
        ("-name", False, ["mlp", "cnn-10", "CNN-9"]),
        ("-name", True, ["CNN-9", "cnn-10", "mlp"]),
        ("accuracy", False, ["cnn-10", "CNN-9", "mlp"]),
        ("-accuracy", False, ["CNN-9", "cnn-10", "mlp"]),  # what is not known is last
        ("-when", False, ["cnn-10", "mlp", "CNN-9"]),
        ("steps", True, ["CNN-9", "cnn-10", "mlp"]),
    ],
)
def test_orders(three: list[FoundRun], key: str, reverse: bool, names: list[str]) -> None:
    assert [run.get("name") for run in ordered(three, key, reverse)] == names


def test_an_order_by_nothing_is_refused(three: list[FoundRun]) -> None:
    with pytest.raises(InputError, match="--sort 'speed' is not known"):
        ordered(three, "-speed")
    assert ordered([], "speed") == []
