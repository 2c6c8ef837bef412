"""The fenced blocks of guides: their Python programs, and their command lines one by one."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import click

from daskpar.cli import main

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def guides() -> list[Path]:
    """Return the README, the guides in the folders below the top, and those for contributors."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
    folders += [ROOT, ROOT / ".github", ROOT / "configs/kubernetes"]
    return sorted(path for folder in folders for path in folder.glob("*.md"))


def blocks(guide: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    found = _BLOCK.findall(guide.read_text(encoding="utf-8"))
    return [text for written, text in found if written == language]


def command_lines(guide: Path) -> list[str]:
    """Return the command lines of all `bash` blocks, without comments; `\\` at the end continues a line."""
    text = "\n".join(blocks(guide, "bash")).replace("\\\n", " ")
    return [line for line in (line.partition(" #")[0].strip() for line in text.splitlines()) if line]


def parse(line: str) -> None:
    """Let the CLI, or the program of `pipelines`, parse a command line; other programs are not ours to check.

    Raises click.UsageError for an option that is not there or a value that it does not accept.
    """
    for part in line.split("&&"):
        words = [word for word in shlex.split(part)]
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # variables of the environment
            del words[0]
        if words[:1] == ["daskpar"]:
            _parse(main, words[1:])
        elif words[:2] == ["python", "-m"] and words[2].startswith("pipelines."):
            _parse(import_module(words[2]).main, words[3:])


def _parse(command: click.Command, arguments: list[str]) -> None:
    context = command.make_context(command.name, list(arguments))
    if isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(context, arguments)
        assert inner is not None
        inner.make_context(name, rest, parent=context)
