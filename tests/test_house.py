"""The house: floors import only downwards, the lower ones know no dask, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import daskpar

HOUSE = Path(daskpar.__file__).parent
FLOORS = ["errors", "settings", "backend", "registry", "nn", "optim", "data", "graph", "plan", "cluster"]
FLOORS += ["train", "dashboard", "yaml_text", "config", "build", "cli"]


def modules() -> list[Path]:
    return sorted(path for path in HOUSE.rglob("*.py") if path.parent != HOUSE or path.stem != "__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def floor(parts: tuple[str, ...]) -> int:
    return FLOORS.index(parts[0].removesuffix(".py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(HOUSE)))
def test_a_module_imports_only_from_its_floor_and_below(path: Path) -> None:
    own = floor(path.relative_to(HOUSE).parts)
    for name in imports(path):
        if name.startswith("daskpar."):
            assert floor(tuple(name.split(".")[1:])) <= own, name
        if own <= FLOORS.index("optim"):
            assert name.split(".")[0] not in ("dask", "distributed"), name


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(HOUSE)))
def test_only_the_command_line_prints(path: Path) -> None:
    if path.relative_to(HOUSE).parts[0] == "cli":
        return
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert "print" not in [call.id for call in calls if isinstance(call, ast.Name)]


def test_the_graph_knows_no_concrete_layer_and_no_concrete_optimizer() -> None:
    contracts = {"layer", "operations", "parameters", "space", "width"}
    allowed = {"daskpar.optim.optimizer", *(f"daskpar.nn.{name}" for name in contracts)}
    for path in (HOUSE / "graph").glob("*.py"):
        used = {n for n in imports(path) if n.startswith(("daskpar.nn", "daskpar.optim"))}
        assert used <= allowed, (path.name, used - allowed)


def test_importing_daskpar_costs_nothing_heavy() -> None:
    code = (
        "import sys, daskpar; print([m for m in ('numpy', 'dask', 'bokeh', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_public_names_are_there() -> None:
    for name in daskpar.__all__:
        assert getattr(daskpar, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'Dence'"):
        daskpar.Dence  # noqa: B018


def test_training_imports_nothing_heavy_that_it_does_not_use() -> None:
    heavy = ("bokeh", "numba", "sklearn", "scipy", "pandas", "PIL", "pooch")
    program = f"import sys, daskpar.cli.train; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
