"""The drawing code of all pages is one script and one style, and either may stand within a page."""

from __future__ import annotations

import re

from daskpar.report import charts
from daskpar.report.curves import Curves


def test_pages_carry_the_script_and_the_style() -> None:
    html = Curves([], "run").html()
    assert charts.script() in html and charts.style() in html


def test_nothing_in_them_ends_the_element_around_them_or_loads_more() -> None:
    both = charts.script() + charts.style()
    unsafe = r"</|<!--|@import|url\((?!#)|innerHTML|insertAdjacentHTML|document\.write|eval"
    assert not re.search(unsafe, both)


def test_the_script_names_only_the_board() -> None:
    names = re.findall(r"^(?:const|let|var|class|function)\s+(\w+)", charts.script(), re.MULTILINE)
    assert names == ["Board"]
