"""The training page on a scheduler without bokeh."""

from __future__ import annotations

import json
import logging
import sys
from urllib.request import urlopen

import dask
import numpy as np
import pytest

from daskpar import Trainer, open_client

X = np.random.default_rng(0).normal(size=(32, 4))


class Lines(logging.Handler):
    """Handler that collects lines; LocalCluster silences those of pytest."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    library, handler = logging.getLogger("daskpar"), Lines()
    monkeypatch.setattr(library, "handlers", [handler])
    monkeypatch.setattr(library, "level", logging.INFO)
    return handler.lines


def test_the_page_is_there_and_the_run_tells_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed.dashboard.scheduler", None)
    routes = list(dask.config.get("distributed.scheduler.http.routes"))  # the scheduler appends to it
    with (
        dask.config.set({"distributed.scheduler.http.routes": routes}),
        open_client("threads", workers=1, dashboard_port=0) as client,
    ):
        for _ in range(2):
            Trainer([{"dense": 2}], steps=2, client=client).fit(X, X[:, 0] > 0)
        link = client.dashboard_link.removesuffix("status")
        with urlopen(f"{link}daskpar/metrics.json") as answer:
            metrics = json.load(answer)
    assert metrics["dask_pages"] == [] and [run["step"] for run in metrics["runs"]] == [2, 2]
    (line, _) = [text for text in lines if "no bokeh" in text]
    assert line == (
        "the scheduler has no bokeh, so Dask's own pages are missing; the training page is there, at /daskpar"
    )
