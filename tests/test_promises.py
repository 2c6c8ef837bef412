"""The guide of the tests is true: the tests, files and markers that it names are there."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
GUIDE = (TESTS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<promise>[^|]+?) \| (?P<tests>(?:`[\w/]+\.py::\w+` ?)+)\|$", re.M)
PROMISES = [(row["promise"], re.findall(r"`([^`]+)`", row["tests"])) for row in ROW.finditer(GUIDE)]


@cache
def names(file: Path) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing(test: str, folder: Path = TESTS) -> str | None:
    """Return what of a test's name is not there; None where it is."""
    file, _, name = test.partition("::")
    if not (folder / file).is_file():
        return file
    return None if name.startswith("test_") and name in names(folder / file) else name


@pytest.mark.parametrize("promise, tests", PROMISES, ids=[promise for promise, _ in PROMISES])
def test_every_promise_has_its_tests(promise: str, tests: list[str]) -> None:
    assert tests and [missing(test) for test in tests] == [None] * len(tests)


def test_every_row_is_read() -> None:
    section = GUIDE.partition("## Promises")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(PROMISES) > 40
    assert len({promise for promise, _ in PROMISES}) == len(PROMISES)


@pytest.mark.parametrize(
    "test, expected",
    [
        ("nowhere/test_fuse.py::test_a_window", "nowhere/test_fuse.py"),
        ("test_promises.py::test_of_nothing", "test_of_nothing"),
        ("test_promises.py::missing", "missing"),
    ],
)
def test_a_test_that_is_not_there_is_named(test: str, expected: str) -> None:
    assert missing(test) == expected


def test_files_and_markers_of_the_guide_are_there() -> None:
    settings = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    markers = {line.partition(":")[0] for line in settings["markers"]}
    assert set(re.findall(r"-m (\w+)", GUIDE)) == markers
    assert set(re.findall(r"marked `(\w+)`", GUIDE)) == markers
    commands = set(re.findall(r"tests/[\w/.]+", GUIDE))
    paths = {TESTS.parent / path for path in commands} | {
        TESTS / name for name in re.findall(r"^\| `([\w/.]+)`", GUIDE, re.M)
    }
    assert len(paths) == 5 and [path for path in paths if not path.exists()] == []


def test_every_marker_marks_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    for marker in ("slow", "gpu", "kubernetes"):
        assert any(re.search(rf"pytest\.mark\.{marker}\b", text) for text in texts), marker
