"""Workers die; the run goes on, unattended, and ends with the same bits."""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import Any

import pytest
from test_same_bits import trained

from daskpar import Layout, open_client
from daskpar.cluster.executor import THREADED

LANES = Layout(data=3)
CUT = [
    Layout(stages=3, microbatches=4),
    Layout(data=3, shards=3),
    Layout(data=2, stages=2, width=2, microbatches=2, recompute=True),
    Layout(replicas=3, average_every=5, outer={"sgd": {"lr": 0.7, "momentum": 0.9}}),
]
SLOW = [(LANES, seed) for seed in range(1, 5)] + [(layout, 5) for layout in CUT]


@pytest.mark.parametrize(
    "layout, seed", [(LANES, 0), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOW)]
)
def test_killed_worker_processes_cost_no_bit(layout: Layout, seed: int) -> None:
    options: dict[str, Any] = {"epochs": 10, "layout": layout, "batch": 48}
    expected = trained(THREADED, **options).parameters_sha256_
    rng = random.Random(seed)
    done = threading.Event()
    killed = 0
    with open_client("processes", workers=3, dashboard_port=0) as client:

        def kill() -> None:
            nonlocal killed
            while not done.wait(rng.uniform(0.3, 1.5)) and killed < 2:
                workers = list(client.cluster.workers.values())
                process = rng.choice(workers).process
                if process is not None and process.pid:
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            found = trained(client, **options).parameters_sha256_
        finally:
            done.set()
            killer.join()
    assert killed > 0
    assert found == expected
