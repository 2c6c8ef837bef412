"""The shipped configs reach the figures that they promise, through the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def data(name: str) -> list[Any]:
    """Marks for a run on data that must be at hand, which takes minutes."""
    here = Path(os.environ.get("DASKPAR_DATA", "nowhere")) / name
    reason = f"needs DASKPAR_DATA to be a folder that holds {name}"
    return [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.skipif(not here.exists(), reason=reason)]


MNIST, SHAKESPEARE = data("mnist"), data("tinyshakespeare.txt")
PROMISES = [
    ("digits_mlp", "test.accuracy", 0.97),
    ("digits_cnn", "test.accuracy", 0.96),
    pytest.param("digits_lstm", "test.accuracy", 0.94, marks=pytest.mark.slow),
    pytest.param("digits_resnet", "test.accuracy", 0.95, marks=pytest.mark.slow),
    pytest.param("digits_autoencoder", "test.loss", 0.018, marks=pytest.mark.slow),
    pytest.param("layout_pipeline", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_gpipe", "test.accuracy", 0.95, marks=pytest.mark.slow),
    pytest.param("layout_width", "test.accuracy", 0.95, marks=pytest.mark.slow),
    pytest.param("layout_tiles", "test.accuracy", 0.95, marks=pytest.mark.slow),
    pytest.param("layout_shards", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_compression", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_local_sgd", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_diloco", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_stale", "test.accuracy", 0.95, marks=pytest.mark.slow),
    pytest.param("layout_async", "test.accuracy", 0.94, marks=pytest.mark.slow),
    pytest.param("layout_lanes", "test.accuracy", 0.96, marks=pytest.mark.slow),
    pytest.param("layout_composed", "test.accuracy", 0.94, marks=pytest.mark.slow),
    pytest.param("mnist_mlp", "test.accuracy", 0.983, marks=MNIST),
    pytest.param("mnist_cnn", "test.accuracy", 0.992, marks=MNIST),
    pytest.param("mnist_lstm", "test.accuracy", 0.985, marks=MNIST),
    pytest.param("mnist_autoencoder", "test.loss", 0.092, marks=MNIST),
    pytest.param("layout_sequence", "validation.loss", 2.55, marks=SHAKESPEARE),
    pytest.param("char_gpt", "validation.loss", 1.88, marks=SHAKESPEARE),
]


@pytest.mark.parametrize("config, score, promise", PROMISES)
def test_a_config_keeps_its_promise(config: str, score: str, promise: float, tmp_path: Path) -> None:
    program = "from daskpar.cli import main; main()"
    options = ["--set", f"run.dir={tmp_path}", "--set", "cluster.dashboard_port=0"]
    command = [sys.executable, "-c", program, "train", str(ROOT / "configs" / f"{config}.yaml"), *options]
    done = run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / config / "summary.json").read_text())
    part, name = score.split(".")
    found = summary[part][name]
    assert found <= promise if name == "loss" else found >= promise
    assert {"train", "validation", "seconds", "steps", "layout", "blas"} <= summary.keys()


def test_every_config_is_tried_or_needs_data_of_its_own() -> None:
    tried = {getattr(promise, "values", promise)[0] for promise in PROMISES}
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {*tried, "resnet_small"}
