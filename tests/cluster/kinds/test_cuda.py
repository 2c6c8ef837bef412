"""Workers with a GPU: which there are, what starts, and a training on them beside one on the host."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar import InputError, Layout, Trainer, open_client
from daskpar.cluster.executor import THREADED
from daskpar.cluster.kinds import cuda
from daskpar.data import Digits


def pretend(monkeypatch: pytest.MonkeyPatch, count: Any) -> None:
    """Make CuPy report a number of GPUs, or fail as it does."""

    def device_count() -> int:
        if isinstance(count, Exception):
            raise count
        return int(count)

    runtime = SimpleNamespace(getDeviceCount=device_count)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with (
        pytest.raises(InputError, match=r"^cluster\.kind=cuda needs CuPy: pip install 'daskpar\[cuda\]'$"),
        open_client("cuda", dashboard_port=0),
    ):
        pass


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"))
    message = r"^cluster\.kind=cuda: no GPU can be used here \(cudaErrorNoDevice: no CUDA-capable .*\)$"
    with pytest.raises(InputError, match=message), open_client("cuda", dashboard_port=0):
        pass


@pytest.mark.parametrize("visible, expected", [(None, ["0", "1"]), ("", ["0", "1"]), ("3,1", ["3", "1"])])
def test_gpus_are_named_as_the_environment_names_them(
    visible: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 2)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda.visible_gpus() == expected


def test_one_worker_a_gpu() -> None:
    specs = cuda.worker_specs(["0", "3"])
    assert [s["options"]["env"] for s in specs.values()] == [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "3"},
    ]
    assert all(s["options"]["resources"] == {"GPU": 1} for s in specs.values())
    assert all(s["options"]["nthreads"] == 1 for s in specs.values())


@pytest.fixture(scope="module")
def cuda_client() -> Any:
    """A client of a worker for each GPU of this machine; skips with the reason where there is none."""
    try:
        cuda.visible_gpus()
    except InputError as error:
        pytest.skip(str(error))
    with open_client("cuda", dashboard_port=0) as client:
        yield client


@pytest.mark.gpu
@pytest.mark.parametrize("layout", [Layout(), Layout(data=2), Layout(data=2, shards=2)], ids=repr)
def test_a_training_on_gpus_is_that_of_the_host(cuda_client: Any, layout: Layout) -> None:
    def fit(client: Any) -> Trainer:
        model = ["flatten", {"dense": 16}, "gelu", {"dropout": 0.2}, {"dense": 10}]
        common: dict[str, Any] = dict(batch=64, epochs=2, seed=1, precision="float64", metrics=["accuracy"])
        return Trainer(model, layout=layout, client=client, **common).fit(Digits(), validation=0.1)

    host, device = fit(THREADED), fit(cuda_client)
    assert device.spec_.module == "cupy"
    for name, value in host.parameters_.items():
        np.testing.assert_allclose(device.parameters_[name], value, rtol=0, atol=1e-9, err_msg=name)
    assert device.history_[-1]["validation"] == pytest.approx(host.history_[-1]["validation"])


@pytest.mark.gpu
def test_the_same_bits_twice_on_gpus(cuda_client: Any) -> None:
    sums = {
        Trainer([{"dense": 16}, "relu", {"dense": 2}], layout=Layout(data=2), client=cuda_client, steps=10)
        .fit(np.eye(64, 8, dtype="float32"), np.arange(64) % 2)
        .parameters_sha256_
        for _ in range(2)
    }
    assert len(sums) == 1
