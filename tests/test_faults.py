"""Workers die; the run goes on, unattended, and ends with the same bits."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import replace
from typing import Any

import pytest
from test_same_bits import trained

from daskpar import Callback, Layout, open_client
from daskpar.cluster.executor import THREADED
from daskpar.train import driver

LANES = Layout(data=3)
CUT = [
    Layout(stages=3, microbatches=4),
    Layout(data=3, shards=3),
    Layout(data=2, stages=2, width=2, microbatches=2, recompute=True),
    Layout(replicas=3, average_every=5, outer={"sgd": {"lr": 0.7, "momentum": 0.9}}),
    Layout(data=3, update="stale", shards=2),
]
CUT += [Layout(data=3, compression="float16")]
SLOW = [(LANES, seed) for seed in range(1, 5)] + [(layout, 5) for layout in CUT]


@pytest.mark.parametrize(
    "layout, seed", [(LANES, 0), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOW)]
)
def test_killed_worker_processes_cost_no_bit(layout: Layout, seed: int) -> None:
    options: dict[str, Any] = {"epochs": 10, "layout": layout, "batch": 48}
    met = options | {"layout": replace(layout, update="sync")}  # lanes compute the same where they meet
    expected = trained(THREADED, **met).parameters_sha256_
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


@pytest.mark.slow
@pytest.mark.parametrize("update", ["stale", "async"])
def test_a_run_survives_the_loss_of_its_parameter_server(
    update: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that holds the parameters is killed, which nothing can rebuild: the run begins anew."""
    told: list[str] = []
    monkeypatch.setattr(driver.logger, "warning", lambda message, *given: told.append(message % given))
    options: dict[str, Any] = {"epochs": 20, "batch": 48}
    with open_client("processes", workers=2, dashboard_port=0) as client:
        killed = threading.Event()

        class Killer(Callback):
            def after_steps(self, trainer: Any, entries: Any) -> None:
                if entries[-1][0] > 20 and not killed.is_set():
                    killed.set()
                    servers = client.run(_actors)
                    (name,) = [w for w in client.cluster.workers.values() if servers.get(w.worker_address)]
                    os.kill(name.process.pid, signal.SIGKILL)

        layout = Layout(data=2, update=update)
        found = trained(client, layout, callbacks=[Killer()], **options)
    assert told and told[0].startswith("the worker that held the parameters is gone; continuing from step")
    steps = [record["step"] for record in found.history_]
    assert steps == sorted(set(steps)) and steps[-1] == found.steps_
    if update == "stale":
        expected = trained(THREADED, Layout(data=2), **options)
        assert found.parameters_sha256_ == expected.parameters_sha256_
        assert len(found.history_) == len(expected.history_)
        for mine, theirs in zip(found.history_, expected.history_, strict=True):
            assert mine["each_step"]["loss"] == pytest.approx(theirs["each_step"]["loss"])


def _actors(dask_worker: Any) -> int:
    return len(dask_worker.state.actors)
