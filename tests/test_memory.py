"""Memory does not grow with the steps: in the client, the scheduler and the workers."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import psutil
import pytest
from dask.utils import key_split

from daskpar import Callback, Layout, Trainer, open_client

STEPS = 10_000
WARM = STEPS // 5
GROWTH = 8e6  # bytes over 8,000 steps: a kilobyte a step that stayed behind would be as much
LOGS = 8e6  # more, for what Dask's scheduler notes of each submission to other processes


def forget() -> None:
    """Free what Dask itself keeps, bounded, in each process: the names of the last 100,000 keys."""
    key_split.cache_clear()
    gc.collect()


class Watch(Callback):
    """The resident memory of this process and its children, from a fifth of the steps on, every so often."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.seen: list[tuple[int, list[int]]] = []

    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        forget()
        self.client.run(forget)
        if record["step"] >= WARM:
            own = psutil.Process()
            children = sorted(own.children(recursive=True), key=lambda child: child.pid)
            self.seen.append((record["step"], [p.memory_info().rss for p in (own, *children)]))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind, layout",
    [("threads", Layout(data=2)), ("threads", Layout(grain="window")), ("processes", Layout(data=2))],
    ids=["threads", "window", "processes"],
)
def test_ten_thousand_steps(kind: str, layout: Layout) -> None:
    x, y = np.random.default_rng(0).random((64, 8)), np.arange(64) % 3
    given: dict[str, Any] = {"batch": 32, "steps": STEPS, "evaluate_every": f"{STEPS // 20} steps"}
    with open_client(kind, workers=2, dashboard_port=0) as client:
        model, watch = [{"dense": 8}, "relu", {"dense": 3}], Watch(client)
        Trainer(model, layout=layout, client=client, callbacks=[watch], **given).fit(x, y)
    processes = zip(*(sizes for _, sizes in watch.seen), strict=True)
    for number, sizes in enumerate(processes):
        early, late = np.median(sizes[:4]), np.median(sizes[-4:])
        allowed = GROWTH + (LOGS if kind == "processes" and number == 0 else 0)
        assert late - early < allowed, f"{kind}: from {early / 1e6:.1f} to {late / 1e6:.1f} MB, {sizes}"
    assert len(watch.seen) == 17
