"""The README's blocks run as they stand, from an empty folder that has the configs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from daskpar.cli import main

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line.partition(" #")[0].strip()
    for language, text in BLOCKS
    if language == "bash"
    for line in text.splitlines()
]
LONG = ("plan", "compare", "simulate")
QUICK = [c for c in COMMANDS if c.startswith("daskpar ") and "&&" not in c and c.split()[1] not in LONG]
SLOW = [c for c in COMMANDS if c.startswith("daskpar ") and "&&" not in c and c.split()[1] in LONG]


def test_every_block_is_known() -> None:
    others = [c for c in COMMANDS if c not in QUICK and c not in SLOW]
    assert all(".venv/bin/" in c or "char_gpt" in c for c in others), others


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number: int, folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAMS[number])
    command = [sys.executable, "-W", "error", "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(commands: list[str]) -> None:
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)


def test_commands_run_in_order(folder: Path) -> None:
    run(QUICK)


@pytest.mark.slow
def test_commands_that_measure_run(folder: Path) -> None:
    run(SLOW)
