"""Generated parts of a guide: replaced where they stand, and compared with what is generated."""

from __future__ import annotations

from pathlib import Path

import pytest

from guides.generated import check_guide, marked, replaced, table

GUIDE = """# Guide

By hand.

<!-- generated: keys -->

| old |

<!-- end: keys -->

More by hand.
<!-- generated: layers of nn -->
<!-- end: layers of nn -->
"""
PARTS = {"keys": "| new |", "layers of nn": "* dense\n* relu"}


def test_parts_are_found_by_name() -> None:
    assert marked(GUIDE) == {"keys": "| old |", "layers of nn": ""}


def test_only_the_parts_change() -> None:
    text = replaced(GUIDE, PARTS)
    assert marked(text) == PARTS
    assert text.replace("| new |", "| old |").startswith(GUIDE.partition("<!-- generated: layers")[0])
    assert replaced(text, PARTS) == text


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'keys' is there twice"):
        marked(GUIDE + GUIDE)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"keys": ""}, r"nothing generated for \['layers of nn'\]"),
        ({**PARTS, "losses": ""}, r"no markers for \['losses'\]"),
    ],
)
def test_every_part_has_its_markers(parts: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replaced(GUIDE, parts)


def test_a_stale_guide_is_told_with_its_lines(tmp_path: Path) -> None:
    guide = tmp_path / "README.md"
    guide.write_text(GUIDE)
    with pytest.raises(AssertionError, match=r"(?s)is stale; run .*--write-guides.*-\| old \|.*\+\| new \|"):
        check_guide(guide, PARTS)
    assert guide.read_text() == GUIDE
    check_guide(guide, PARTS, write=True)
    check_guide(guide, PARTS)


def test_a_table_escapes_its_cells() -> None:
    assert table(["key", "type"], [["a", "int | None"], ["b", "two\n lines"]]) == (
        "| key | type |\n|---|---|\n| a | int \\| None |\n| b | two lines |"
    )
    with pytest.raises(ValueError, match="has not 2 cells"):
        table(["key", "type"], [["a"]])
