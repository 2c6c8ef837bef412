"""`daskpar runs`: a table for any width, JSON, and one line for what it cannot do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from daskpar.cli import main
from daskpar.cli.run_table import DEFAULT, run_table
from daskpar.report.runs import find_runs

NOW = 1_800_000_000.0


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["runs", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write(folder: Path, age: float = 0.0, **summary: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "summary.json").write_text(json.dumps(summary) if summary else '{"fini')
    os.utime(folder / "summary.json", (NOW - age, NOW - age))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    best = {"validation.accuracy": {"value": 0.91234}}
    whole: dict[str, Any] = {"finished": True, "goodput": 0.754, "steps": 12345, "parameters": 4810}
    write(
        tmp_path / "a", 7200, **whole, seconds=1234.56, best=best, layout_text="data: 2", layout={"data": 2}
    )
    write(tmp_path / "b", 200_000)
    return tmp_path


def table(folder: Path, width: int | None = None, keys: list[str] | None = None) -> list[str]:
    runs = sorted(find_runs(folder, NOW), key=lambda run: str(run.get("name")))
    return run_table(runs, keys, width, NOW).splitlines()


def test_a_trained_network_is_listed(trained: Any) -> None:
    (found,) = json.loads(run(str(trained.runs), "--json").stdout)
    summary = json.loads((trained.run / "summary.json").read_text())
    assert (found["name"], found["state"], found["steps"], found["best"]) == (
        "tiny",
        "finished",
        40,
        "validation.accuracy",
    )
    assert found["value"] == summary["best"]["validation.accuracy"]["value"]
    assert (found["goodput"], found["epochs"], found["layout"]) == (summary["goodput"], 2.0, "1 lane")
    assert found["scores"]["test.loss"] == summary["test"]["loss"]


def test_the_table(folder: Path) -> None:
    head, first, second = table(folder)
    assert head.split() == DEFAULT
    cells = "a 2 h ago finished data: 2 12,345 1,234.6 validation.accuracy 0.9123 75 % 4,810".split()
    assert first.split()[:-2] == cells
    assert second.split() == ["b", "2", "d", "ago", *"????????", *second.split()[-2:]]


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 100, 130])
def test_what_does_not_fit_is_left_out(folder: Path, width: int) -> None:
    lines = table(folder, width)
    shown = lines[0].split()
    assert shown[0] == "name" and (len(lines[0]) <= width or shown == ["name"])
    assert max(map(len, lines)) <= max(width, 4)
    assert ("value" in shown, "layout" in shown) == (width >= 20, width >= 80)


def test_chosen_columns(folder: Path) -> None:
    done = run(str(folder), "--sort", "name", "--columns", "name, layout.data,accuracy,date")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["name", "layout.data", "accuracy", "date"]
    assert lines[1][:3] == ["a", "2", "0.9123"] and lines[2][:3] == ["b", "?", "?"]
    records = json.loads(run(str(folder), "--sort=name", "--columns=name,accuracy", "--json").stdout)
    assert records == [{"name": "a", "accuracy": 0.91234}, {"name": "b", "accuracy": None}]


def test_order_and_filters(folder: Path) -> None:
    names = [line.split()[0] for line in run(str(folder)).stdout.splitlines()]
    assert names == ["name", "a", "b"], "the newest is first"
    assert run(str(folder), "--reverse").stdout.splitlines()[1].startswith("b ")
    assert run(str(folder), "--sort", "-name").stdout.splitlines()[1].startswith("b ")
    found = run(str(folder), "--filter", "layout=data", "--filter", "accuracy>0.9").stdout.splitlines()
    assert [line.split()[0] for line in found] == ["name", "a"]
    done = run(str(folder), "--filter", "accuracy>0.99")
    assert (done.exit_code, done.stdout) == (0, f"{folder}: none of 2 runs passes --filter accuracy>0.99\n")
    assert run(str(folder), "--filter", "accuracy>0.99", "--json").stdout == "[]\n"


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}: no runs; `daskpar train CONFIG` writes one")
    assert run(str(tmp_path), "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere"], "nowhere: no such folder; give the folder in which runs are"),
        (["file"], "file: not a folder"),
        ([], "runs: no such folder"),
        ([".", "--sort", "speed"], "--sort 'speed' is not known"),
        ([".", "--columns", "name,speed"], "--columns 'speed' is not known"),
        ([".", "--columns", ","], "--columns=',': expected keys"),
        ([".", "--filter", "speed"], "--filter 'speed': expected KEY"),
        ([".", "--filter", "speed>3"], "--filter 'speed' is not known"),
    ],
)
def test_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(folder)
    (folder / "file").touch()
    done = run(*arguments)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"daskpar: {words}")


def test_names_cannot_break_out_of_the_table(tmp_path: Path) -> None:
    for name in ("a\x1b[31m\nb", "<script>", "b\udcff", "[red]x", "ü" * 60):
        write(tmp_path / name, steps=1, layout_text="data: 2\x1b]0;title\x07")
    text = run(str(tmp_path)).stdout
    assert "\x1b" not in text and "\x07" not in text and len(text.splitlines()) == 6
    assert "a\\x1b[31m\\nb" in text and "b\\udcff" in text and "[red]x" in text and "<script>" in text
    assert "ü" * 60 in text and "ü" * 18 + "..." + "ü" * 18 in "\n".join(table(tmp_path, 120))
    ascii_only = CliRunner(charset="ascii").invoke(main, ["runs", str(tmp_path)])
    assert ascii_only.exit_code == 0 and ascii_only.stdout_bytes.isascii()
    assert len(json.loads(run(str(tmp_path), "--json").stdout)) == 5
