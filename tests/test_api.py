"""The public API: all blocks and contracts can be imported from `daskpar`, lazily, and are listed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import daskpar
from daskpar.cluster.kind import CLUSTERS
from daskpar.data.fitted import TRANSFORMS
from daskpar.data.source import SOURCES
from daskpar.nn.registry import LAYERS, LOSSES, METRICS
from daskpar.optim.registry import OPTIMIZERS, SCHEDULES
from daskpar.registry import Table

TABLES: dict[str, Table] = {
    table.what: table for table in (LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS, SOURCES)
}
PACKAGES = ("nn", "optim", "callbacks")


@pytest.mark.parametrize("what", TABLES)
def test_every_block_can_be_imported(what: str) -> None:
    table = TABLES[what]
    ours = [block for block in table.values() if block.__module__.startswith("daskpar.")]
    assert [block for block in ours if getattr(daskpar, block.__name__, None) is not block] == []
    assert getattr(daskpar, table.contract.__name__) is table.contract
    assert daskpar.ClusterKind is CLUSTERS.contract


@pytest.mark.parametrize("package", PACKAGES)
def test_names_of_a_package_are_names_of_daskpar(package: str) -> None:
    module = import_module(f"daskpar.{package}")
    assert getattr(daskpar, package) is module
    assert [name for name in module.__all__ if getattr(daskpar, name) is not getattr(module, name)] == []


def test_names_are_listed() -> None:
    assert set(daskpar.__all__) <= set(dir(daskpar))
    assert [name for name in daskpar.__all__ if not hasattr(daskpar, name)] == []


def test_names_are_imported_lazily() -> None:
    program = (
        "import sys, daskpar\n"
        "dir(daskpar)\n"
        "print([m for m in ('numpy', 'dask', 'pydantic', 'sklearn') if m in sys.modules])\n"
        "from daskpar import *\n"
        "print(Conv2d(8), Layout(data=2), callbacks.EarlyStopping('loss').patience)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "Conv2d(8) Layout(data=2) 5"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Dence", "; did you mean 'Dense'?"),
        ("BatchNorm2d", "; did you mean 'BatchNorm'?"),
        ("CrossEntropyLoss", "; did you mean 'SoftmaxCrossEntropy'?"),
        ("open_cluster", "; did you mean 'open_client'?"),
        ("zzz", ""),
    ],
)
def test_other_names_are_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(daskpar, name)
    assert str(error.value) == f"module 'daskpar' has no attribute {name!r}{hint}"
