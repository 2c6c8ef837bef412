"""Tables of numbers: what fits, how cells and headings stand, and the same as HTML."""

from __future__ import annotations

import pytest

from daskpar.report.table import Column, fitting, head_text, html_table, row_text

COLUMNS = [
    Column("epoch"),
    Column("step", width=6, rank=1),
    Column("loss", "train", 8),
    Column("accuracy", "train", rank=2),
    Column("loss", "validation", 8),
]


@pytest.mark.parametrize(
    "width, expected",
    [
        (43, [0, 1, 2, 3, 4]),  # 5 + 6 + 8 + 8 + 8, and 4 gaps of 2
        (42, [0, 1, 2, 4]),
        (33, [0, 1, 2, 4]),
        (32, [0, 2, 4]),  # of the rest the step has the highest rank
        (24, [0, 2]),  # among equals the last
        (15, [0, 2]),
        (14, [0]),
        (1, [0]),  # always the first
    ],
)
def test_columns_of_the_highest_rank_go_first(width: int, expected: list[int]) -> None:
    assert fitting(COLUMNS, width) == expected


def test_cells_are_right_aligned_below_their_headings() -> None:
    columns = COLUMNS[:3]
    assert head_text(columns) == [16 * " " + "train", "epoch    step      loss"]
    assert row_text(columns, ["1", "150", "0.25"]) == "    1     150      0.25"
    assert len(row_text(columns, ["", "", ""])) == 5 + 6 + 8 + 2 * 2


def test_a_group_stands_over_its_columns() -> None:
    first, second = head_text(COLUMNS)
    assert first.split() == ["train", "validation"[:8]]  # cut to the room of its one column
    middle = first.index("train") + len("train") / 2
    left, right = second.index("loss") - 4, second.index("accuracy") + 8
    assert abs(middle - (left + right) / 2) <= 1


def test_without_groups_there_is_one_line() -> None:
    assert head_text([Column("a"), Column("b", width=3)]) == ["a    b"]


def test_html_has_the_cells_as_text() -> None:
    html = html_table(COLUMNS[:4], [["1", "2", "<b>", "0.5"]])
    assert html.count("<tr>") == 3 and html.count("<td ") == 4 and html.count("<th ") == 3 + 4
    assert "&lt;b&gt;" in html and "<b>" not in html and 'colspan="2"' in html
