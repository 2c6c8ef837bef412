"""The benchmark's sums, on times that were made up; its peers are run by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines import benchmark, results
from pipelines.peers import MODULES, SETTINGS
from pipelines.works import WORKS

OURS = ("ours", '{"data": 2}')


def measured(seconds: float, loss: float = 1.0) -> dict[str, Any]:
    return {
        "seconds_per_step": seconds,
        "loss": loss,
        "gflops": 200.0,
        "peak_bytes": 10**8,
        "scheduling_share": 0.01,
    }


def found() -> dict[Any, Any]:
    """Two layouts of ours, and a peer with two settings; the best of each is what counts."""
    return {
        ("ours", '{"data": 1}'): [measured(3.0), measured(3.0), measured(3.0)],
        OURS: [measured(1.0), measured(2.0), measured(1.0)],
        ("torch", "threads"): [measured(2.0), measured(2.0), measured(3.0)],
        ("torch", "ddp"): [measured(9.0), measured(9.0), measured(9.0)],
    }


@pytest.fixture
def result() -> dict[str, Any]:
    row = benchmark.summary("mlp-large", WORKS["mlp-large"], found())
    left = {"left_out": {"jax jit": "No module named <jax>"}}
    return {"machine": results.machine(), "peak_gflops": 200.0, "rows": [{**row, **left}]}


def test_medians_of_the_best_settings_and_ratios_round_by_round(result: dict[str, Any]) -> None:
    (row,) = result["rows"]
    assert row["ours"]["layout"] == {"data": 2} and row["ours"]["seconds_per_step"] == 1.0
    assert row["ours"]["scheduling_share"] == 0.01
    assert row["peers"]["torch"]["setting"] == "threads"
    assert row["peers"]["torch"]["seconds_per_step"] == 2.0
    assert row["ratio"] == {"torch": 2.0} and row["ratio_spread"] == {"torch": [1.0, 3.0]}
    assert not row["void"]
    json.dumps(result)


@pytest.mark.parametrize("loss", [1.02, float("nan")])
def test_a_row_with_another_loss_is_void(loss: float) -> None:
    other = found() | {("torch", "threads"): [measured(1.0, loss)]}
    assert benchmark.summary("cnn", WORKS["cnn"], other)["void"]


def test_table_and_chart(result: dict[str, Any], tmp_path: Path) -> None:
    console = Console(width=200)
    with console.capture() as captured:
        results.show(result, console)
    text = captured.get()
    assert "torch (threads)" in text and "2.00 (1.00-3.00)" in text and "jax jit left out" in text
    results.write_chart(result, tmp_path / "chart.html")
    page = (tmp_path / "chart.html").read_text()
    assert "No module named <jax>" not in page and "No module named &" in page


def test_a_contestant_that_cannot_run_says_why_in_a_line(tmp_path: Path) -> None:
    said = benchmark.contest("mlp-small", str(tmp_path), "sklearn", "threads")
    assert isinstance(said, str) and "x.npy" in said and "\n" not in said


@pytest.mark.parametrize(
    "options, told",
    [
        (["--work", "mlp"], "'mlp' is not known"),
        (["--against", "keras"], "'keras' is not known"),
        (["--layouts", "{"], "expected a JSON list"),
        (["--layouts", '{"data": 2}'], "expected a JSON list"),
    ],
)
def test_bad_options(options: list[str], told: str) -> None:
    said = CliRunner().invoke(benchmark.main, options)
    assert said.exit_code == 2 and told in said.output


def test_every_peer_has_a_module() -> None:
    folder = Path(benchmark.__file__).parent / "peers"
    assert set(MODULES) == set(SETTINGS)
    assert all((folder / f"{name}.py").exists() for name in MODULES.values())
