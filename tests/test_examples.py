"""Examples in docstrings run and give what they say."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import daskpar
from daskpar import registry

HOUSE = Path(daskpar.__file__).parent
MODULES = sorted(
    ".".join(("daskpar", *path.relative_to(HOUSE).with_suffix("").parts)).removesuffix(".__init__")
    for path in HOUSE.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.fixture
def own_blocks_go() -> Iterator[None]:
    """Take blocks that an example registers out of their tables."""
    tables = list(registry._TABLES.values())
    before = [set(table) for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        for name in set(table) - names:
            del table.blocks[name]


@pytest.mark.usefixtures("own_blocks_go")
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed
