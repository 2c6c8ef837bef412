"""The README is short, and its commands run in order."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from daskpar.cli import main
from daskpar.cluster import loopback
from guides.fences import ROOT, command_lines

README = ROOT / "README.md"
MOST_WORDS = 1000


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").split()) <= MOST_WORDS


def test_the_commands_of_the_readme_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loopback, "_PORT", 0)  # tests beside this one may take the usual port meanwhile
    lines = [line.rpartition("&& ")[2].replace(".venv/bin/", "") for line in command_lines(README)]
    commands = [line for line in lines if line.startswith("daskpar ")]
    assert len(commands) == 4
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)
    assert {"predictions.csv", "step.svg", "runs"} <= {path.name for path in tmp_path.iterdir()}
