"""Measured values, kept for the next time in a file of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daskpar.autotune.cache import Cache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, which is empty."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    return tmp_path


def test_what_was_measured_is_kept() -> None:
    first = Cache("a", 1)
    assert first.get("x") is None
    first.put("x", [1, 2])
    first.put("y", 0.5)
    again = Cache("a", 1)
    assert (again.get("x"), again.get("y")) == ([1, 2], 0.5)
    assert json.loads(again.path.read_text()) == {"x": [1, 2], "y": 0.5}


@pytest.mark.parametrize("other", [("a", 2), ("a",), ("a", "1"), ("b", 1)], ids=str)
def test_what_depends_on_something_else_is_measured_anew(other: tuple[object, ...]) -> None:
    Cache("a", 1).put("x", 1)
    assert Cache(*other).get("x") is None


def test_a_damaged_file_is_no_file() -> None:
    cache = Cache("a", 1)
    cache.put("x", 1)
    cache.path.write_text("{")  # cut off by a full disk, say
    assert Cache("a", 1).get("x") is None


def test_without_a_place_values_last_as_long_as_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("")
    monkeypatch.setattr("pooch.os_cache", lambda name: folder / "file")  # where a folder should be
    cache = Cache("a", 1)
    cache.put("x", 1)
    assert cache.get("x") == 1 and Cache("a", 1).get("x") is None
