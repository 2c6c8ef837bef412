"""Generated parts of guides: compared with the file by a test, or written into it by `--write-guides`.

A generated part stands between two comments, which a reader of the rendered page does not see:

    <!-- generated: keys of train -->
    | key | type | ...
    <!-- end: keys of train -->

A test calls `check_guide(path, parts, write)`, where `parts` has a text for each name and `write` is the
fixture `write_guides`. Each text stands alone between its markers, with an empty line before and after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

_PART = re.compile(r"<!-- generated: (?P<name>.+?) -->\n(?P<text>.*?)<!-- end: (?P=name) -->", re.S)


def marked(text: str) -> dict[str, str]:
    """Return the text of each generated part by its name, without the empty lines around it.

    Raises ValueError for a name that occurs twice.
    """
    parts: dict[str, str] = {}
    for match in _PART.finditer(text):
        if match["name"] in parts:
            raise ValueError(f"the part {match['name']!r} is there twice")
        parts[match["name"]] = match["text"].strip("\n")
    return parts


def replaced(text: str, parts: Mapping[str, str]) -> str:
    """Return a guide's text with these generated parts.

    Raises ValueError where the markers in the text and the names of the parts differ.
    """
    missing, unknown = parts.keys() - marked(text).keys(), marked(text).keys() - parts.keys()
    if missing or unknown:
        raise ValueError(f"no markers for {sorted(missing)}, nothing generated for {sorted(unknown)}")

    def part(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- generated: {name} -->\n\n{parts[name].strip()}\n\n<!-- end: {name} -->"

    return _PART.sub(part, text)


def check_guide(path: Path, parts: Mapping[str, str], write: bool = False) -> None:
    """Compare the generated parts of a guide with these, or write them into it.

    Raises AssertionError with the difference where the guide is stale.
    """
    before = path.read_text(encoding="utf-8")
    after = replaced(before, parts)
    if write:
        path.write_text(after, encoding="utf-8")
        return
    lines = unified_diff(before.splitlines(), after.splitlines(), str(path), "generated", lineterm="", n=0)
    difference = "\n".join(lines)
    assert not difference, f"{path} is stale; run this test with --write-guides\n{difference}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; `|` within a cell is escaped, and a line break becomes a space."""

    def line(cells: Sequence[str]) -> str:
        texts = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
        return "| " + " | ".join(texts) + " |"

    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{row} has not {len(head)} cells")
    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])
