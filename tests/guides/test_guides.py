"""Guides hold what they show: Python blocks run in a folder that has the configs, commands are parsed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from daskpar.build import make_trainer
from daskpar.config import load_config
from guides.fences import ROOT, blocks, command_lines, guides, parse

PROGRAMS = [(guide, text) for guide in guides() for text in blocks(guide, "python")]
YAML = [(guide, text) for guide in guides() for text in blocks(guide, "yaml")]
CONFIGS = [(guide, text) for guide, text in YAML if "\nmodel:" in f"\n{text}"]
LINES = [(guide, line) for guide in guides() for line in command_lines(guide)]


@pytest.mark.parametrize(("guide", "program"), PROGRAMS, ids=[g.parent.name + g.stem for g, _ in PROGRAMS])
def test_programs_run(guide: Path, program: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-W", "error", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, (guide, done.stderr)


@pytest.mark.parametrize(("guide", "text"), CONFIGS, ids=[g.parent.name for g, _ in CONFIGS])
def test_configs_are_read(guide: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    make_trainer(load_config(str(tmp_path / "config.yaml")))  # all keys are known, and all blocks


@pytest.mark.parametrize(("guide", "line"), LINES, ids=[line for _, line in LINES])
def test_commands_are_parsed(guide: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "daskpar trian configs/digits_mlp.yaml",
        "daskpar sample configs/char_gpt.yaml --length many",
        "DASKPAR_DATA=data daskpar train configs/digits_mlp.yaml && daskpar graph --setps 2",
        "python -m pipelines.xor --widht 3",
    ],
)
def test_wrong_commands_are_refused(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(click.UsageError):
        parse(line)
