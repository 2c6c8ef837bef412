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


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 5))])
def test_killed_worker_processes_cost_no_bit(seed: int) -> None:
    options: dict[str, Any] = {"epochs": 10, "layout": Layout(data=3), "batch": 48}
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
