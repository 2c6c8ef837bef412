"""The dashboard for Grafana asks for series that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daskpar.dashboard.prometheus import Collector
from daskpar.dashboard.runs import Runs

GRAFANA = Path(__file__).parents[2] / "configs" / "kubernetes" / "grafana.json"
DASKS = {"dask_scheduler_workers", "dask_scheduler_tasks"}


def test_panels_show_series_that_there_are() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    page: Any = SimpleNamespace(runs=Runs(), lost=0, joined=0)
    names = set()
    for family in Collector(cast("Any", page)).collect():
        names.add(family.name + ("_total" if family.type == "counter" else ""))
    board = json.loads(GRAFANA.read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:daskpar|dask)_\w+", target["expr"])
    }
    assert asked - DASKS <= names and names - asked <= {"daskpar_seconds"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
