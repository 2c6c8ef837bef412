"""The shipped configs reach the accuracy that they promise, through the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parent.parent
NO_MNIST = "needs MNIST: set DASKPAR_DATA to a folder that holds mnist/"


@pytest.mark.parametrize(
    "config, accuracy",
    [
        ("digits_mlp", 0.97),
        pytest.param(
            "mnist_mlp",
            0.983,
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif("DASKPAR_DATA" not in os.environ, reason=NO_MNIST),
            ],
        ),
    ],
)
def test_test_accuracy(config: str, accuracy: float, tmp_path: Path) -> None:
    program = "from daskpar.cli import main; main()"
    options = ["--set", f"run.dir={tmp_path}", "--set", "cluster.dashboard_port=0"]
    command = [sys.executable, "-c", program, "train", str(ROOT / "configs" / f"{config}.yaml"), *options]
    done = run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / config / "summary.json").read_text())
    assert summary["test"]["accuracy"] >= accuracy
    assert {"train", "validation", "test", "seconds", "steps", "layout", "blas"} <= summary.keys()
