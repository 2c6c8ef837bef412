"""Metrics of all rows at once: the same bits whatever the cut, at evaluations only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from daskpar import EarlyStopping, Ensemble, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.nn import AUC

RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 6)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
W = RNG.integers(0, 5, 600) / 4
METRICS = [{"auc": {"multi_class": "ovo"}}, "accuracy", "auc"]


def fitted(kind: Any = Trainer, **how: Any) -> Any:
    settings = {"metrics": METRICS, "batch": 120, "client": THREADED, "streams": 8, **how}
    return kind([{"dense": 4}, "relu", {"dense": 3}], **settings).fit(X, Y, validation=(X, Y))


@pytest.fixture(scope="module")
def trained() -> Trainer:
    return fitted()


@pytest.mark.parametrize("chunk_rows", [600, 599, 100, 7])
def test_any_cut_gives_scikit_learns_value_to_the_bit(trained: Trainer, chunk_rows: int) -> None:
    share = trained.predict(X, "probabilities").astype("float64")
    trained.chunk_rows = chunk_rows
    found = trained.evaluate(X, Y)
    back = slice(None, None, -1)
    lazy = trained.evaluate(da.from_array(X[back], (chunk_rows, 6)), da.from_array(Y[back], 50))
    pairs, ovr = (
        roc_auc_score(Y, share / share.sum(1, keepdims=True), multi_class=how, average="macro")
        for how in ("ovo", "ovr")
    )
    assert (found["ovo_auc"], found["auc"]) == pytest.approx((pairs, ovr), rel=1e-6)
    assert (found["ovo_auc"], found["auc"]) == (lazy["ovo_auc"], lazy["auc"])
    assert list(found) == ["loss", "ovo_auc", "accuracy", "auc"]


LAYOUTS = [
    Layout(data=4, grain="stage"),
    Layout(data=2, grain="window"),
    Layout(data=2, stages=2, microbatches=2, shards=2),
    Layout(width=2),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
def test_every_layout_measures_it(layout: Layout) -> None:
    trainer = fitted(layout=layout)
    record = trainer.history_[-1]
    assert record["validation"] == trainer.evaluate(X, Y)
    assert list(record["train"]) == ["loss", "accuracy"]


def test_processes_measure_the_same(processes_client: Any, trained: Trainer) -> None:
    assert fitted(client=processes_client).history_[-1]["validation"] == trained.history_[-1]["validation"]


def test_weights_count(trained: Trainer) -> None:
    times = (4 * W).astype(int)
    rows = np.repeat(np.arange(600), times)
    assert trained.evaluate(X, Y, W)["auc"] == pytest.approx(
        trained.evaluate(X[rows], Y[rows])["auc"], rel=1e-14
    )


def test_an_ensemble_is_measured_as_it_predicts() -> None:
    twins = fitted(Ensemble, members=2)
    logs = twins.predict(X)
    expected = AUC().value(AUC().sums(logs, Y, twins.spec_.loss))
    assert twins.evaluate(X, Y)["auc"] == expected


def test_early_stopping_goes_by_it_where_it_is_measured() -> None:
    stop = EarlyStopping(monitor="validation.auc", patience=1)
    values = [record["validation"]["auc"] for record in fitted(callbacks=[stop], epochs=4).history_]
    assert values == sorted(values) or len(values) < 4
    with pytest.raises(InputError, match=r"monitor 'train.auc' is not known; did you mean"):
        fitted(callbacks=[EarlyStopping(monitor="train.auc", patience=1)])


def test_a_resumed_run_has_the_history_of_an_unbroken_one(tmp_path: Path) -> None:
    fitted(folder=tmp_path, checkpoint_every="3 steps", evaluate_every="5 steps", steps=5)
    how: dict[str, Any] = {"metrics": METRICS, "batch": 120, "client": THREADED, "streams": 8}
    how |= {"folder": tmp_path, "evaluate_every": "5 steps", "steps": 10}
    resumed = Trainer([{"dense": 4}, "relu", {"dense": 3}], **how)
    resumed.fit(X, Y, validation=(X, Y), resume=True)
    whole = fitted(evaluate_every="5 steps", steps=10)
    for one, other in zip(resumed.history_, whole.history_, strict=True):
        assert one["validation"] == other["validation"] and one["train"] == other["train"]


def test_shares_of_a_sequence_do_not_stand_in_its_way() -> None:
    x = RNG.integers(0, 5, (40, 6))
    model = [{"embedding": {"words": 5, "features": 4}}, {"transformer_block": {"heads": 2}}, {"dense": 5}]
    how: dict[str, Any] = {"metrics": ["auc"], "batch": 20, "client": THREADED}
    trainer = Trainer(model, layout=Layout(sequence=2), **how).fit(x, x, validation=(x, x))
    assert 0 <= trainer.history_[-1]["validation"]["auc"] <= 1
