"""A run on arrays of another module: chunks stay on the device, only states and sums come back."""

from __future__ import annotations

import sys
from typing import Any

import device
import numpy as np
import pandas as pd
import pytest

from daskpar import Clip, Layout, Penalty, Trainer, open_client
from daskpar.cluster.executor import THREADED, ClusterExecutor, ThreadedExecutor
from daskpar.data import Digits

MODEL = [
    "flatten",
    {"dense": 16},
    "gelu",
    {"dropout": 0.2},
    {"residual": [{"dense": 16}, "tanh"]},
    {"dense": 10},
]

pytestmark = pytest.mark.usefixtures("reference_kernels")


@pytest.mark.parametrize(
    "layout",
    [Layout(), Layout(data=2), Layout(data=8), Layout(data=2, grain="layer"), Layout(grain="window")],
    ids=repr,
)
def test_a_run_on_a_device_gives_the_bits_of_the_host(
    layout: Layout, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(folder: str) -> Trainer:
        trainer = Trainer(
            MODEL,
            metrics=["accuracy", "top_k", "confusion"],
            optimizer="adamw",
            transforms=["standardise"],
            distribution="stratified",
            batch=64,
            epochs=2,
            accumulate=1 if layout.grain == "layer" else 2,
            layout=layout,
            client=THREADED,
            folder=tmp_path / folder,
        )
        return trainer.fit(Digits(), validation=0.1)

    host = fit("host")
    monkeypatch.setitem(sys.modules, "fake_cupy", device.xp)
    monkeypatch.setattr(ThreadedExecutor, "module", "fake_cupy")
    found = fit("device")
    assert found.spec_.module == "numpy"  # the client has no such device
    assert isinstance(found.state_.params, np.ndarray)
    assert found.parameters_sha256_ == host.parameters_sha256_
    assert found.history_[-1]["validation"] == host.history_[-1]["validation"]
    assert found.evaluate(Digits()) == host.evaluate(Digits())
    images = Digits().arrays()[0]
    np.testing.assert_array_equal(found.predict(images), host.predict(images))


X = np.random.default_rng(0).standard_normal((60, 4)).astype("float32")
CLASSES, WEIGHTS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1), np.arange(60) % 5
NUMBERS = np.column_stack([50 + X[:, 0], 900 * X[:, 1]])
SCORES = ["accuracy", "f1", "auc", "log_loss", "perplexity", "precision", "recall", "confusion"]


@pytest.mark.parametrize(
    "y, how",
    [
        (CLASSES, {"metrics": SCORES, "class_weight": "balanced"}),
        (np.eye(3)[CLASSES], {"loss": {"binary_cross_entropy": {"pos_weight": 2}}, "metrics": SCORES[:4]}),
        (NUMBERS, {"loss": "huber", "targets": ["standardise"], "metrics": ["rmse", "r2"]}),
    ],
    ids=["classes", "labels", "numbers"],
)
def test_weights_and_scores_on_a_device_are_those_of_the_host(
    y: np.ndarray, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit() -> Trainer:
        model = [{"dense": 8}, "tanh", {"dense": y.shape[-1] if y.ndim > 1 else 3}]
        trainer = Trainer(model, batch=20, epochs=2, layout=Layout(data=2), client=THREADED, **how)
        return trainer.fit(X, y, validation=(X, y, WEIGHTS), sample_weight=WEIGHTS)

    host = fit()
    monkeypatch.setitem(sys.modules, "fake_cupy", device.xp)
    monkeypatch.setattr(ThreadedExecutor, "module", "fake_cupy")
    found = fit()
    assert found.parameters_sha256_ == host.parameters_sha256_
    for part in ("train", "validation"):
        assert found.history_[-1][part] == host.history_[-1][part]


def test_workers_with_a_gpu_each_compute_with_cupy(threads_client: Any) -> None:
    assert module_of(threads_client) == "numpy"
    with open_client("processes", workers=1, dashboard_port=0) as client:
        client.run(lambda dask_worker: dask_worker.state.total_resources.update(GPU=1))
        (address,) = client.scheduler_info(n_workers=-1)["workers"]
        client.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.add_resources(worker=address, resources={"GPU": 1})
        )
        assert module_of(client) == "cupy"


def module_of(client: Any) -> Any:
    """The array module of an executor, which is closed again: it limits this process's threads."""
    executor = ClusterExecutor(client, 1)
    executor.close()
    return executor.module


@pytest.mark.parametrize(
    "layout", [Layout(data=2), Layout(data=2, grain="layer"), Layout(grain="window")], ids=repr
)
@pytest.mark.parametrize(
    "model, options",
    [
        (
            MODEL,
            {"loss": {"softmax_cross_entropy": {"label_smoothing": 0.1}}, "metrics": ["accuracy", "top_k"]},
        ),
        (["flatten", {"dense": 1}], {"loss": "huber", "metrics": ["rmse", "r2"], "optimizer": "lamb"}),
        (["flatten", {"dense": 1}], {"loss": "mean_squared_error", "clip": Clip(norm=1.0)}),
    ],
)
def test_no_float64_anywhere_in_a_float32_run(
    layout: Layout, model: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fake_cupy", device.xp)
    monkeypatch.setattr(ThreadedExecutor, "module", "fake_cupy")
    penalty = Penalty(l1=1e-4, l2=1e-4)
    with device.without("float64"):  # raises where one is computed, if only on the way
        trainer = Trainer(
            model, batch=64, epochs=1, layout=layout, penalty=penalty, client=THREADED, **options
        )
        trainer.fit(Digits(), validation=0.1)
    assert trainer.steps_ == 26


@pytest.mark.parametrize("layout", [Layout(data=2), Layout(data=2, grain="layer")], ids=repr)
def test_a_table_with_texts_reaches_a_device_as_numbers(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 9, 60), "town": rng.choice(["Lyon", "Oslo"], 60)})
    table.loc[::7, "age"] = np.nan
    plain = np.column_stack([table["age"], rng.integers(0, 3, 60)])

    def fit(x: Any, how: list[Any]) -> Trainer:
        model = ["embed_columns", {"dense": 6}, "relu", "dense"]
        trainer = Trainer(model, transforms=how, batch=20, epochs=2, layout=layout, client=THREADED)
        return trainer.fit(x, np.where(table["town"] == "Oslo", "a", "b"), validation=0.1)

    frame, array = ["impute", "standardise", {"encode": "embed"}], ["impute", {"encode": {"embed": [1]}}]
    host = [fit(table, frame), fit(plain, array)]
    monkeypatch.setitem(sys.modules, "fake_cupy", device.xp)
    monkeypatch.setattr(ThreadedExecutor, "module", "fake_cupy")
    found = [fit(table, frame), fit(plain, array)]
    assert [f.parameters_sha256_ for f in found] == [h.parameters_sha256_ for h in host]
    assert found[0].history_[-1]["validation"] == host[0].history_[-1]["validation"]
