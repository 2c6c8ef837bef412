"""The layers that tests/nn/test_layers_table.py checks, a module a family. A new layer is a new line."""

from importlib import import_module
from pathlib import Path

TABLE = [
    row
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
    if path.stem != "row"
    for row in import_module(f"layer_rows.{path.stem}").ROWS
]
