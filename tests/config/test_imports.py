"""Blocks of a user's own: in a file named on the command line, or in a module that a config names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

BLOCKS = Path(__file__).parents[1] / "own_blocks" / "blocks_of_each_kind.py"
CONFIG = {
    "data": {
        "source": "own_blobs",
        "points": 90,
        "transforms": ["own_centre"],
        "targets": ["one_hot"],
        "streams": 2,
    },
    "model": [{"dense": 8}, {"own_scale": 0.5}, "relu", {"dense": 3}],
    "loss": "own_loss",
    "metrics": ["own_metric"],
    "optimizer": {"own_sgd": 0.2},
    "schedule": {"own_halving": {"every": 40}},
    "train": {"epochs": 2, "batch": 20},
    "layout": {"data": 2},
    "cluster": {"kind": "processes", "workers": 2, "dashboard_port": 0},
}


def daskpar(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    program = "from daskpar.cli import main; main(prog_name='daskpar')"
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def done(folder: Path, *words: object) -> str:
    result = daskpar(folder, *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(folder: Path, *words: object) -> str:
    result = daskpar(folder, *words)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("daskpar: ").strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, CONFIG)
    return tmp_path


def write(folder: Path, config: dict[str, object]) -> None:
    run = {"name": "own", "dir": str(folder / "runs")}
    (folder / "own.yaml").write_text(yaml.safe_dump({"run": run, **config}))


@pytest.mark.slow
def test_a_run_with_a_block_of_each_kind_on_processes(folder: Path) -> None:
    """Trained, evaluated, predicted and resumed; the run's folder names the file that is missing."""
    done(folder, "train", "own.yaml", "--import", BLOCKS)
    saved = folder / "runs" / "own" / "config.yaml"
    assert yaml.safe_load(saved.read_text())["import"] == [str(BLOCKS)]
    told = f"{saved}: import: {BLOCKS} is a file, and runs only if you name it; pass --import {BLOCKS}"
    assert refused(folder, "evaluate", saved) == told
    scores = json.loads(done(folder, "evaluate", saved, "--import", BLOCKS))["test"]
    assert 0 < scores["loss"] < 10 and scores["own_metric"] > 0
    done(folder, "predict", saved, "--import", BLOCKS, "--kind", "outputs", "-o", "out.npy")
    assert np.load(folder / "out.npy").shape == (18, 3)
    said = done(folder, "train", saved, "--import", BLOCKS, "--resume", "--set", "train.epochs=4")
    assert "resumed at step" in said
    summary = json.loads((folder / "runs" / "own" / "summary.json").read_text())
    write(folder, {**CONFIG, "train": {"epochs": 4, "batch": 20}, "cluster": {"kind": "threaded-scheduler"}})
    done(folder, "train", "own.yaml", "--import", BLOCKS)
    again = json.loads((folder / "runs" / "own" / "summary.json").read_text())
    assert again["parameters_sha256"] == summary["parameters_sha256"]


def test_a_cluster_of_one_s_own(folder: Path) -> None:
    write(folder, {**CONFIG, "cluster": {"kind": "own_room", "desks": 2}})
    said = done(folder, "train", "own.yaml", "--import", BLOCKS)
    assert "dashboard" in said
    write(folder, {**CONFIG, "cluster": {"kind": "own_room", "desks": 0}})
    told = refused(folder, "train", "own.yaml", "--import", BLOCKS)
    assert told == "own.yaml: cluster.desks: value should be greater than or equal to 1, got 0"


@pytest.mark.parametrize(
    "command", ["evaluate", "predict", "graph", "model", "plan", "compare", "simulate", "sample", "config"]
)
def test_every_command_that_reads_a_config_takes_imports(folder: Path, command: str) -> None:
    """A file that is not there is refused, before anything else is asked."""
    told = refused(folder, command, "own.yaml", "--import", "none.py")
    assert told == f"--import: {folder / 'none.py'}: cannot be read (No such file or directory)"


@pytest.mark.slow
def test_commands_know_the_blocks(folder: Path) -> None:
    assert "own_scale" in done(folder, "model", "own.yaml", "--import", BLOCKS)
    assert "2 grad" in done(folder, "graph", "own.yaml", "--import", BLOCKS)
    written = yaml.safe_load(done(folder, "config", "own.yaml", "--import", BLOCKS))
    assert written["data"]["points"] == 90 and written["data"]["path"] == "nowhere"
    assert written["cluster"]["desks"] == 1 and written["import"] == [str(BLOCKS)]
    schema = json.loads(done(folder, "config", "--schema", "--import", BLOCKS))
    keys = schema["$defs"]["DataSection"]["properties"]
    assert keys["points"]["description"] == "own_blobs: rows that are drawn"
    assert "own_blobs" in keys["source"]["enum"]


@pytest.mark.parametrize(
    "text, told",
    [
        ("1 / 0", "--import mine.py: cannot be imported (ZeroDivisionError: division by zero)"),
        ("import nowhere", "--import mine.py: cannot be imported (ModuleNotFoundError: No module named 'no"),
        (
            "x = (",
            "--import mine.py: cannot be imported (SyntaxError: '(' was never closed (mine.py",
        ),
        ("raise SystemExit(3)", "--import mine.py: cannot be imported (SystemExit: 3)"),
        (
            "from dataclasses import dataclass\nfrom daskpar import register\nfrom daskpar.nn import Layer\n"
            "@register('dense')\n@dataclass(frozen=True)\nclass Mine(Layer): pass",
            "--import: layer 'dense' is registered twice, by daskpar.nn.layers.dense.Dense and by mine.Mine; "
            "choose another name",
        ),
        (
            "from daskpar import register\n@register('mine')\nclass Mine: pass",
            "--import: register('mine'): expected a frozen dataclass derived from one of",
        ),
    ],
    ids=["raises", "imports", "syntax", "exits", "a name that is taken", "no contract"],
)
def test_files_that_cannot_be_imported(folder: Path, text: str, told: str) -> None:
    (folder / "mine.py").write_text(text)
    assert refused(folder, "config", "own.yaml", "--import", "mine.py").startswith(
        told.replace("mine.py, l", "mine.py, l")
    )


@pytest.mark.parametrize(
    "name, told",
    [
        ("random.py", "there is a module random already"),
        ("my-blocks.py", "its name cannot be that of a module; rename it, e.g. to my_blocks.py"),
    ],
)
def test_names_of_files_that_are_no_modules(folder: Path, name: str, told: str) -> None:
    (folder / "at").mkdir()
    (folder / "at" / name).write_text("")
    assert told in refused(folder, "config", "own.yaml", "--import", f"at/{name}")


def test_a_config_names_modules_but_no_files(folder: Path) -> None:
    package = folder / "my_package"
    package.mkdir()
    (package / "blocks.py").write_text(BLOCKS.read_text().replace("from tripled import THREE", "THREE = 3"))
    write(folder, {**CONFIG, "import": ["my_package.blocks"], "cluster": {"kind": "threaded-scheduler"}})
    done(folder, "train", "own.yaml")
    assert "own_metric" in done(folder, "evaluate", "runs/own/config.yaml")
    write(folder, {**CONFIG, "import": ["./my_package/blocks.py"]})
    told = "own.yaml: import: ./my_package/blocks.py is a file, and runs only if you name it; pass --import"
    assert refused(folder, "train", "own.yaml").startswith(told)
    write(folder, {**CONFIG, "import": ["my_package.nothing"]})
    told = "own.yaml: import my_package.nothing: cannot be imported (ModuleNotFoundError: No module named"
    assert refused(folder, "train", "own.yaml").startswith(told)
    write(folder, {"model": ["flatten"], "import": "my_package.blocks"})
    assert refused(folder, "train", "own.yaml").startswith("own.yaml: import: value should be a valid list")


def test_without_the_import_the_names_are_unknown(folder: Path) -> None:
    assert refused(folder, "train", "own.yaml").startswith("own.yaml: key in data 'points' is not known")
