"""Workers with a device and workers without one in the same run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster

from daskpar import Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits

MODEL = ["flatten", {"dense": 16}, "gelu", {"dropout": 0.2}, {"dense": 10}]


def pretend(folder: str) -> None:
    """Make the tests' own array type pass for CuPy in a worker."""
    sys.path.insert(0, folder)
    import device

    sys.modules["cupy"] = device.xp


def kinds(spec: Any) -> str:
    """The type of array that a worker computes with."""
    return type(spec.xp.zeros(1)).__name__


@pytest.fixture(scope="module")
def mixed_client() -> Any:
    """Two processes, of which the first has a GPU, or says so."""
    common = {"host": "127.0.0.1", "nthreads": 1}
    workers = {
        0: {"cls": Nanny, "options": common | {"resources": {"GPU": 1}}},
        1: {"cls": Nanny, "options": common},
    }
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}}
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        first = client.scheduler_info(n_workers=-1)["workers"]
        with_gpu = [address for address, worker in first.items() if worker["resources"]]
        client.run(pretend, str(Path(__file__).parents[1]), workers=with_gpu)
        yield client


@pytest.mark.parametrize(
    "layout", [Layout(data=2), Layout(lanes=(3, 1)), Layout(data=2, update="stale", shards=2)], ids=repr
)
def test_the_result_is_that_of_like_workers(mixed_client: Any, layout: Layout) -> None:
    def fit(client: Any, layout: Layout) -> Trainer:
        common: dict[str, Any] = dict(batch=64, epochs=2, seed=1, precision="float64", metrics=["accuracy"])
        return Trainer(MODEL, layout=layout, client=client, **common).fit(Digits(), validation=0.1)

    expected, found = fit(THREADED, Layout()), fit(mixed_client, layout)
    for name, value in expected.parameters_.items():
        assert isinstance(found.parameters_[name], np.ndarray)
        np.testing.assert_allclose(found.parameters_[name], value, rtol=0, atol=1e-10, err_msg=name)
    assert found.history_[-1]["validation"] == pytest.approx(expected.history_[-1]["validation"])


def test_each_worker_computes_with_what_it_has(mixed_client: Any) -> None:
    from dataclasses import replace

    from daskpar.cluster.executor import ClusterExecutor

    executor = ClusterExecutor(mixed_client, 2)
    assert executor.module == "here"
    trainer = Trainer(MODEL, client=THREADED, batch=64, steps=1).fit(Digits())
    spec = replace(trainer.spec_, module=executor.module)
    assert executor.on_each(kinds, spec) == ["DeviceArray", "ndarray"]
