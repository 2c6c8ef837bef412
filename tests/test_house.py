"""The house: floors import only downwards, no circles, one door to Dask's internals, typed, in small files.

`house.py` has the rules. Each is held against the package, and against a copy with one bad line planted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import house
import pytest

import daskpar

HOUSE = Path(daskpar.__file__).parent

FLOORS = """
errors interrupts aliases typed reprs terminal settings argument_docs backend registry entries yaml_text nn
optim data layout tasks graph autotune report dashboard
cluster train callbacks estimators export config build cli
""".split()  # from the ground up; a folder within a folder may have a floor of its own, e.g. nn/layers
WITHOUT_DASK = """
errors interrupts typed reprs terminal settings argument_docs registry backend nn optim
""".split()
STEP = ("layout", "tasks", "graph")
CONTRACTS = """
gathered_rows layer moments open_sizes operations parameters
partition_rules positions ring spatial tensor_parallel
""".split()
CONTRACTS = [*(f"nn.{name}" for name in CONTRACTS), "optim.optimizer"]
DOOR = "graph/dask_api.py"
CLUSTER = ("cluster", "dashboard")
MOST_ANY = 200

RULES: dict[str, Callable[[Path], list[str]]] = {
    "circles": house.circles,
    "floors": lambda package: house.without_a_floor(package, FLOORS),
    "upwards": lambda package: house.upward_imports(package, FLOORS),
    "concrete": lambda package: house.concrete_imports(package, STEP, CONTRACTS),
    "private-dask": lambda package: house.private_dask_imports(package, DOOR),
    "distributed": lambda package: house.imports_outside(package, "distributed", CLUSTER),
    "low-dask": lambda package: [
        line
        for line in house.imports_outside(package, "dask", ())
        if line.split("/")[0].split(".")[0] in WITHOUT_DASK
    ],
    "prints": lambda package: house.prints(package, ("cli",)),
    "long": house.long_files,
}


@cache
def broken(rule: str) -> set[str]:
    return set(RULES[rule](HOUSE))


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_its_rules(rule: str) -> None:
    assert broken(rule) == set()


def test_annotations_say_something() -> None:
    counts = house.any_annotations(HOUSE)
    assert counts.total() <= MOST_ANY, counts.most_common()


CONCRETE = "from daskpar.nn.layers.dense import Dense\n"
GUARDED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from daskpar.nn.planted_b import y\n"
PLANTED = {
    "circle": (
        "circles",
        {
            "nn/planted_a.py": "from daskpar.nn import planted_b\n",
            "nn/planted_b.py": "from .planted_a import x\n",
        },
        "nn/planted_a.py -> nn/planted_b.py -> nn/planted_a.py",
    ),
    "circle-under-type-checking": (
        "circles",
        {"nn/planted_a.py": GUARDED, "nn/planted_b.py": "import daskpar.nn.planted_a\n"},
        "nn/planted_a.py -> nn/planted_b.py -> nn/planted_a.py",
    ),
    "circle-of-three": (
        "circles",
        {
            "optim/planted_a.py": "def f():\n    from . import planted_b\n",
            "optim/planted_b.py": "from daskpar.optim.planted_c import x\n",
            "optim/planted_c.py": "from daskpar.optim.planted_a import f\n",
        },
        "optim/planted_a.py -> optim/planted_b.py -> optim/planted_c.py -> optim/planted_a.py",
    ),
    "no-floor": ("floors", {"attic/planted.py": ""}, "attic/planted.py"),
    "upwards-in-a-function": (
        "upwards",
        {"data/planted.py": "def f():\n    from daskpar.train import Trainer\n"},
        "data/planted.py:2 imports Trainer of daskpar.train",
    ),
    "upwards-relative": (
        "upwards",
        {"backend/compiled/planted.py": "from ...cli import main\n"},
        "backend/compiled/planted.py:1 imports daskpar.cli.main",
    ),
    "upwards-by-name": (
        "upwards",
        {"nn/planted.py": 'import importlib\nimportlib.import_module("daskpar.config")\n'},
        "nn/planted.py:2 imports daskpar.config",
    ),
    "layer-in-tasks": (
        "concrete",
        {"tasks/planted.py": CONCRETE},
        "tasks/planted.py:1 imports Dense of daskpar.nn.layers.dense",
    ),
    "layer-in-tasks-of-the-graph": (
        "concrete",
        {"graph/tasks/planted.py": CONCRETE},
        "graph/tasks/planted.py:1 imports Dense of daskpar.nn.layers.dense",
    ),
    "optimizer-in-layout": (
        "concrete",
        {"layout/planted.py": "from daskpar.optim import AdamW\n"},
        "layout/planted.py:1 imports AdamW of daskpar.optim",
    ),
    "private-module-of-dask": (
        "private-dask",
        {"train/planted.py": "from dask._task_spec import Task\n"},
        "train/planted.py:1 imports Task of dask._task_spec",
    ),
    "private-name-of-distributed": (
        "private-dask",
        {"cluster/planted.py": "from distributed.worker import _global_workers\n"},
        "cluster/planted.py:1 imports _global_workers of distributed.worker",
    ),
    "distributed-in-nn": (
        "distributed",
        {"nn/planted.py": "def f():\n    import distributed.worker\n"},
        "nn/planted.py:2 imports distributed.worker",
    ),
    "dask-in-optim": (
        "low-dask",
        {"optim/planted.py": "from dask.utils import key_split\n"},
        "optim/planted.py:1 imports key_split of dask.utils",
    ),
    "print-in-train": ("prints", {"train/planted.py": "print(1)\n"}, "train/planted.py:1 prints"),
    "long-file": (
        "long",
        {"nn/planted.py": '"""A layer that is long."""\n' + 300 * "x = 1\n"},
        "nn/planted.py has 301 lines, and its docstring does not say why",
    ),
}


@pytest.mark.parametrize(("rule", "planted", "named"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_named(rule: str, planted: dict[str, str], named: str, tmp_path: Path) -> None:
    package = tmp_path / HOUSE.name
    shutil.copytree(HOUSE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in planted.items():
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(text)
    assert set(RULES[rule](package)) - broken(rule) == {named}


def test_a_line_planted_in_a_file_closes_a_circle(tmp_path: Path) -> None:
    package = tmp_path / HOUSE.name
    shutil.copytree(HOUSE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with open(package / "backend" / "random.py", "a") as file:
        file.write("from daskpar.backend.planted import x\n")
    (package / "backend" / "planted.py").write_text(
        "def f():\n    from daskpar.backend.random import place_id\n"
    )
    assert "backend/planted.py -> backend/random.py -> backend/planted.py" in house.circles(package)


def test_a_file_may_be_long_for_a_reason(tmp_path: Path) -> None:
    reason = '"""A table.\n\nIts lines are many because\nit is one table. No more."""\n'
    (tmp_path / "table.py").write_text(reason + 300 * "x = 1\n")
    assert house.long_files(tmp_path) == []


def test_annotations_that_are_any_are_counted(tmp_path: Path) -> None:
    code = "x: Any = 1\ndef f(a: Any, *b: Any, c: list[Any], **d: Any) -> Any:\n    y: int\n"
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "planted.py").write_text(code)
    assert house.any_annotations(tmp_path) == {"nn": 5}


def test_importing_daskpar_costs_nothing_heavy() -> None:
    code = (
        "import sys, daskpar; print([m for m in ('numpy', 'dask', 'bokeh', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Dence'"):
        daskpar.Dence  # noqa: B018


def test_training_imports_nothing_heavy_that_it_does_not_use() -> None:
    heavy = ("bokeh", "numba", "sklearn", "scipy", "pandas", "PIL", "pooch")
    program = f"import sys, daskpar.cli.train; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
