"""The README is short, its commands run in order, and the links of all guides lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from daskpar.cli import main
from guides.fences import ROOT, command_lines, guides

README = ROOT / "README.md"
LINKS = [
    (guide, link) for guide in guides() for link in re.findall(r"\]\(([^)\s]+)\)", guide.read_text("utf-8"))
]
MOST_WORDS = 1000


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize(
    ("guide", "link"), LINKS, ids=[f"{guide.parent.name}-{guide.stem}-{link}" for guide, link in LINKS]
)
def test_links_lead_somewhere(guide: Path, link: str) -> None:
    if link.startswith(("http:", "https:", "mailto:")):
        return
    path, _, anchor = link.partition("#")
    page = (guide.parent / path).resolve() if path else guide
    assert page.exists(), link
    assert not anchor or anchor in anchors(page), link


def test_the_commands_of_the_readme_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    lines = [line.rpartition("&& ")[2].replace(".venv/bin/", "") for line in command_lines(README)]
    commands = [line for line in lines if line.startswith("daskpar ")]
    assert len(commands) == 4
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)
    assert {"predictions.csv", "step.svg", "runs"} <= {path.name for path in tmp_path.iterdir()}
