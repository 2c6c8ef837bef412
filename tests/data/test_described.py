"""Sources and parts in a terminal and a notebook: rows, shapes, dtypes and classes, and no arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar.data import Chunk, Csv, Digits, Npz, Parts, Split, Text, hold, parts_of, split
from daskpar.data.dask_arrays import from_dask

SHARES: dict[str, Any] = {"validation": 0.25, "test": 0.25, "seed": 0, "stratified": False}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "flats.csv"
    path.write_text("rooms,city,price\n" + "3,Lyon,250\n2,Nice,180\n" * 4)
    return path


def test_parts_of_a_table(table: Path) -> None:
    parts = split(Csv(table, target="city"), **SHARES)
    assert repr(parts).splitlines() == [
        f"Parts of Csv({str(table)!r}, target=('city',))",
        "  train       4 rows",
        "  validation  2 rows",
        "  test        2 rows",
        "  x           2 int64",
        "  y           texts, 2 classes: Lyon, Nice",
    ]
    assert str(parts) == repr(parts)
    html = parts._repr_html_()
    assert html.count("<tr>") == 5 and "<b>Parts of Csv(" in html and ">4 rows</td>" in html


def test_parts_with_texts_among_the_examples(table: Path) -> None:
    parts = split(Csv(table, target="price"), **SHARES)
    assert "  x           2 columns, 1 of them texts" in repr(parts)
    assert "  y           int64, 2 different values" in repr(parts)


def test_a_part_that_is_left_out_has_no_line() -> None:
    parts = split(Digits(), 0.0, 0.25, seed=0, stratified=False)
    assert parts.validation is None and "validation" not in repr(parts)
    assert isinstance(parts, tuple) and Parts(*parts) == parts


def test_parts_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "abc.txt"
    path.write_text(100 * "abc ")
    parts = parts_of(Text(path, block=8), 0.25, 0.0, 0, False)
    assert [line.split()[:2] for line in repr(parts).splitlines()[1:3]] == [
        ["train", "292"],
        ["validation", "12"],
    ]
    assert repr(parts).endswith("y           8 uint8, 4 characters")


def test_a_split_is_a_call_and_prints_its_rows() -> None:
    part = Split(Digits(), "validation", low=0.7, high=0.8)
    assert repr(part) == "Split(Digits(), name='validation', low=0.7, high=0.8)"
    assert str(part).splitlines() == [
        "validation: 180 rows, Digits()",
        "  x  8 × 8 × 1 uint8",
        "  y  int32, 10 classes",
    ]
    assert "<b>validation: 180 rows, Digits()</b>" in part._repr_html_()


def test_html_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,<b>\n2,c\n")
    assert "2 classes: &lt;b&gt;, c" in split(Csv(path, target="y"), 0.0, 0.0, 0, False)._repr_html_()


def test_many_classes_and_many_values_are_not_listed() -> None:
    names = hold(np.zeros((9, 1)), np.array([f"class {i}" for i in range(9)]))
    assert repr(names).endswith("y: texts, 9 classes: class 0, class 1, class 2, class 3, ...)")
    ids = hold(np.zeros((2_000, 1)), np.arange(2_000))
    assert repr(ids) == "InMemory(2,000 rows, x: 1 float64, y: int64)"


def test_arrays_of_this_process_show_no_values() -> None:
    source = hold(np.zeros((5, 3), "float32"), np.linspace(0, 1, 5), sample_weight=np.ones(5))
    assert repr(source) == "InMemory(5 rows, x: 3 float32, y: float64, weights: one for each row)"
    source.release()
    assert repr(source) == "InMemory(not readable)"


def test_dask_arrays_are_not_computed() -> None:
    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    x, y = da.zeros((10, 3)), da.zeros(10, dtype=int).map_blocks(never, dtype=int)
    source = from_dask(x, y, hold)
    assert repr(source) == "DaskArrays(10 rows, x: 3 float64, y: int64)"
    assert "  train       5 rows" in repr(split(source, **SHARES, shuffled=False))


def test_files_that_are_gone_print_nevertheless(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    part = Split(Npz(path))
    assert str(part) == f"train: not readable, Npz({str(path)!r})"
    assert repr(Parts(part, None, None)).splitlines()[1:] == ["  train  not readable"]


def test_a_chunk_shows_its_shapes() -> None:
    chunk = Chunk(np.zeros((5, 3), "float32"), np.arange(5), np.ones(5))
    assert repr(chunk) == "Chunk(x=(5, 3) float32, y=(5,) int64, weights=(5,) float64)"
