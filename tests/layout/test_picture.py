"""The picture of a layout: well-formed, a box for each slot, and text that is escaped."""

from __future__ import annotations

from itertools import islice
from typing import Any
from xml.etree import ElementTree

import pytest

from daskpar import Layout
from daskpar.layout.picture import layout_svg

SVG = "{http://www.w3.org/2000/svg}"


def texts(layout: Layout) -> list[str]:
    return [str(node.text) for node in ElementTree.fromstring(layout_svg(layout)).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    "arguments, rows",
    [
        ({}, ["lane 0"]),
        ({"data": 2, "stages": 3}, ["lane 0", "lane 1"]),
        ({"replicas": 2, "width": 2}, [f"replica {r}, lane 0, part {p}" for r in (0, 1) for p in (0, 1)]),
        ({"tiles": 2, "stages": (1, 2)}, ["lane 0, tile 0", "lane 0, tile 1"]),
        ({"tiles": 3, "width": 2}, ["lane 0, part and tile 0", "lane 0, part and tile 1", "lane 0, tile 2"]),
        ({"data": 2, "sequence": 2}, [f"lane {lane}, share {share}" for lane in (0, 1) for share in (0, 1)]),
    ],
)
def test_a_box_for_each_slot(arguments: dict[str, Any], rows: list[str]) -> None:
    layout = Layout(**arguments)
    found = texts(layout)
    assert [text for text in found if text.startswith("stage ")] == [
        f"stage {s}" for s in range(layout.depth)
    ]
    assert [text for text in found if text.startswith(("lane ", "replica "))] == rows
    assert sorted(text for text in found if text.startswith("slot ")) == sorted(
        f"slot {n}" for n in range(layout.slots)
    )


def test_a_large_layout_is_cut_short() -> None:
    found = texts(Layout(data=10_000, stages=20))
    assert found[-1] == "and 9984 more rows and 8 more stages"
    assert len(list(islice(found, 1000))) < 300


def test_the_notebook_shows_fields_and_picture() -> None:
    html = Layout(data=2, outer="<script>", replicas=2)._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2  # a field in the table, and the title of the picture
    assert html.count("<svg ") == 1 and "4 slots of Layout(" in html
