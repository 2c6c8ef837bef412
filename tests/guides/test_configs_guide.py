"""The guide of configs: its tables are those of the schema, the registry and the graphs of steps.

`pytest tests/guides/test_configs_guide.py --write-guides` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

from guides.blocks import block_tables
from guides.generated import check_guide
from guides.keys import key_tables
from guides.layouts import CONFIGS, ROWS, layout_table

GUIDE = CONFIGS / "README.md"


def test_the_tables_are_those_of_the_code(tmp_path: Path, write_guides: bool) -> None:
    text = tmp_path / "text.txt"
    text.write_text("To be, or not to be: that is the question.\n" * 100)
    check_guide(GUIDE, {**key_tables(), **block_tables(), "layouts": layout_table(text)}, write_guides)


def test_every_config_is_listed() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    assert [path.name for path in CONFIGS.glob("*.yaml") if f"]({path.name})" not in guide] == []


def test_every_config_of_a_layout_has_a_row() -> None:
    assert {path.stem for path in CONFIGS.glob("layout_*.yaml")} <= {row.config for row in ROWS}
