"""Links of guides lead to files and headings of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guides.fences import ROOT, guides

GUIDES = guides()


def broken_links(guide: Path) -> list[str]:
    """Return the links of a guide to files and headings of the repository that are not there."""
    links = re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8"))
    return [link for link in links if "://" not in link and not _exists(guide, link)]


def _exists(guide: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = guide.parent / path if path else guide
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(guide: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", guide.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=[str(guide.relative_to(ROOT)) for guide in GUIDES])
def test_links_lead_somewhere(guide: Path) -> None:
    assert broken_links(guide) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    guide = tmp_path / "README.md"
    guide.write_text(
        "# One `idea`\n[a](#one-idea) [b](#two) [c](none.md) [d](README.md) [e](https://dask.org)\n"
    )
    assert broken_links(guide) == ["#two", "none.md"]
