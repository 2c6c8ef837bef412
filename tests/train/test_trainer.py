"""The Trainer: data of every kind in, predictions out, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Clip, InputError, Layout, NotFiniteError, Penalty, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Digits, Split, hold, in_memory, split

MODEL = ["flatten", {"dense": 16}, "relu", {"dense": 10}]


def digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = Digits().arrays()
    return (x / 16).astype(np.float32), y


def make(**options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "batch": 64,
        "epochs": 2,
        "metrics": ["accuracy"],
        "optimizer": {"adam": 5e-3},
    }
    settings["client"] = THREADED
    return Trainer(options.pop("model", MODEL), **{**settings, **options})


def test_arrays_and_dask_arrays_give_the_same_bits(threads_client: Any, processes_client: Any) -> None:
    x, y = digits()
    chunked = da.from_array(x, chunks=(500, 8, 8, 1)), da.from_array(y, chunks=500)
    expected = make().fit(x, y, validation=(x[:100], y[:100]))
    for client in (THREADED, threads_client, processes_client):
        for data in ((x, y), chunked):
            found = make(client=client).fit(*data, validation=(x[:100], y[:100]))
            assert found.parameters_sha256_ == expected.parameters_sha256_
            assert found.history_[-1]["validation"] == expected.history_[-1]["validation"]


def test_a_dataframe(threads_client: Any) -> None:
    dd = pytest.importorskip("dask.dataframe", reason="needs the dataframe extra")
    pd = pytest.importorskip("pandas")
    x, y = digits()
    table = pd.DataFrame(x.reshape(len(x), -1), columns=[f"p{i}" for i in range(64)]).assign(digit=y)
    frame = dd.from_pandas(table, npartitions=4)
    found = make(client=threads_client).fit(frame.drop(columns="digit"), frame["digit"])
    expected = make().fit(x.reshape(len(x), -1), y)
    assert found.parameters_sha256_ == expected.parameters_sha256_


def test_predict_is_lazy_for_dask_arrays_and_equal_to_that_for_arrays(threads_client: Any) -> None:
    x, y = digits()
    trainer = make(client=threads_client).fit(x, y)
    for kind, shape in (("outputs", (1797, 10)), ("probabilities", (1797, 10)), ("classes", (1797,))):
        expected = trainer.predict(x, kind)
        lazy = trainer.predict(da.from_array(x, chunks=(400, 4, 8, 1)), kind)
        assert isinstance(lazy, da.Array)
        assert lazy.shape == expected.shape == shape
        assert lazy.dtype == expected.dtype
        np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(lazy.compute(scheduler="threads"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trainer.predict(x, "probabilities").sum(axis=1), 1, rtol=1e-5)
    assert np.mean(trainer.predict(x, "classes") == y) == trainer.evaluate(x, y)["accuracy"]


def test_validation_of_every_kind() -> None:
    train, validation, _ = split(Digits(), 0.1, 0.0, seed=0, stratified=False)
    a = make().fit(train, validation=validation)
    b = make().fit(Digits(), validation=0.1)
    assert a.parameters_sha256_ == b.parameters_sha256_
    assert a.history_[-1]["validation"] == b.history_[-1]["validation"]
    assert make().fit(Digits()).history_[-1]["validation"] == {}


def test_transforms_are_fitted_on_the_training_part_only() -> None:
    x, y = digits()
    x = x.reshape(len(x), -1).astype(float)
    far = x[:50] * 100 + 7
    trainer = make(model=[{"dense": 10}], transforms=["standardise"], precision="float64").fit(
        x, y, validation=(far, y[:50])
    )
    fitted: Any = trainer.spec_.transforms[0]
    np.testing.assert_allclose(fitted.shift, x.mean(axis=0), atol=1e-12)
    by_hand = make(model=[{"dense": 10}], precision="float64").fit(fitted.apply(x), y)
    np.testing.assert_allclose(trainer.predict(x), by_hand.predict(fitted.apply(x)), atol=1e-10)


def test_one_hot_targets_give_what_classes_give() -> None:
    x, y = digits()
    classes, hot = make().fit(x, y), make(targets=["one_hot"]).fit(x, y)
    assert hot.history_[-1]["train"]["accuracy"] == classes.history_[-1]["train"]["accuracy"]
    np.testing.assert_allclose(hot.predict(x), classes.predict(x), atol=1e-4)


@pytest.mark.parametrize("cache", [True, False])
def test_chunks_that_are_not_kept_are_loaded_again(cache: bool, threads_client: Any) -> None:
    x, y = digits()
    data = da.from_array(x, chunks=(300, 8, 8, 1)), da.from_array(y, chunks=300)
    expected = make(chunk_rows=50).fit(x, y)
    assert make(chunk_rows=50, cache=cache).fit(*data).parameters_sha256_ == expected.parameters_sha256_
    again = make(chunk_rows=50, cache=cache, client=threads_client, layout=Layout(data=2))
    same = make(chunk_rows=50, layout=Layout(data=2))
    assert again.fit(*data).parameters_sha256_ == same.fit(x, y).parameters_sha256_


def test_accumulated_slices_equal_the_whole() -> None:
    a, b = (make(accumulate=n, precision="float64").fit(*digits()) for n in (1, 4))
    np.testing.assert_allclose(a.state_.params, b.state_.params, atol=1e-12)


def test_penalties_and_clipping_reach_the_update() -> None:
    plain = np.abs(make().fit(*digits()).state_.params).sum()
    small = make(penalty=Penalty(l1=0.01, l2=0.1)).fit(*digits())
    assert np.abs(small.state_.params).sum() < 0.8 * plain
    still = make(clip=Clip(norm=1e-9), optimizer={"sgd": 0.1}).fit(*digits())
    begin = make(optimizer={"sgd": 1e-12}).fit(*digits())
    np.testing.assert_allclose(still.state_.params, begin.state_.params, atol=1e-6)


def test_schedules_set_the_rate_of_each_step() -> None:
    schedule = {"linear": {"warmup": 4, "floor": 0.5}}
    trainer = make(epochs=1, schedule=schedule, optimizer={"sgd": 0.1}).fit(*digits())
    rates = trainer.history_[0]["each_step"]["lr"]
    assert len(rates) == 29
    np.testing.assert_allclose(rates[:5], [0.02, 0.04, 0.06, 0.08, 0.1])
    np.testing.assert_allclose(rates[5:7], [0.1 - 0.05 / 25, 0.1 - 0.1 / 25])


@pytest.mark.parametrize("layout", [Layout(data=2), Layout(data=2, grain="layer"), Layout(grain="window")])
def test_a_loss_that_is_not_finite_stops_the_run(layout: Layout, threads_client: Any) -> None:
    for client in (THREADED, threads_client):
        with pytest.raises(NotFiniteError, match=r"step \d+: the loss is (nan|inf); .*layer \d \(dense\)"):
            make(layout=layout, client=client, optimizer={"sgd": 1e30}).fit(*digits())


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"batch": 2000, "layout": Layout(data=2)},
            "train.batch=1797; use e.g. 1, 3, 599, 1797; a batch is all 1797 rows, as train.batch=2000",
        ),
        ({"layout": Layout(data=3)}, "layout.data=3 does not divide train.batch=64; use e.g. 1, 2, 4, 8"),
        ({"layout": Layout(data=4), "streams": 2}, "layout.data=4 does not divide the 2 streams"),
        ({"streams": 3}, "data.streams=3 does not divide train.batch=64"),
        ({"model": [{"dense": 10}]}, "layer 0: dense: expected examples of one axis"),
        ({"model": ["flatten", "relu"]}, "the model has no parameters"),
        ({"model": ["flatten", {"dense": 1}]}, "expected one output a class, at least 2"),
        ({"loss": "mse", "metrics": ()}, "the model returns (10,) per example, the targets hold a number"),
        ({"loss": "mse"}, "metric accuracy: mean_squared_error learns numbers"),
        ({"model": ["flatten", {"dense": 9}]}, "classes from 0 to 9 for a model with 9 outputs"),
        ({"precision": "float16"}, "precision 'float16' is not known"),
        ({"distribution": "shuffled"}, "distribution 'shuffled' is not known"),
        ({"optimizer": {"adam": -1.0}}, "adam.lr=-1.0 must be above zero"),
        ({"metrics": ["acuracy"]}, "metric 'acuracy' is not known; did you mean 'accuracy'?"),
        (
            {"evaluate_every": "often"},
            "train.evaluate_every='often' is no interval; expected e.g. '1 epoch' or '200 steps'",
        ),
        ({"epochs": 0}, "train.epochs=0 must be at least 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**options).fit(*digits())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda x, y: (x[:10], y), "10 rows of examples but 1797 labels"),
        (lambda x, y: (x[:0], y[:0]), "zero rows"),
        (
            lambda x, y: (np.where(x > 0.9, np.nan, x), y),
            "train data: NaN or infinite values in the examples",
        ),
        (lambda x, y: (x, np.maximum(y, 1) - 3), "classes from -2 to 6"),
        (lambda x, y: (x, None), "targets are missing"),
    ],
)
def test_refuses_data(spoil: Any, message: str, threads_client: Any) -> None:
    for client in (THREADED, threads_client):
        with pytest.raises(InputError, match=message.replace("(", r"\(")):
            make(client=client).fit(*spoil(*digits()))


def test_restore_takes_up_a_checkpoint(tmp_path: Path) -> None:
    x, y = digits()
    trainer = make(folder=tmp_path, transforms=["standardise"]).fit(x, y)
    again = make(transforms=["standardise"]).restore(tmp_path / "checkpoints" / "final")
    np.testing.assert_array_equal(again.predict(x), trainer.predict(x))
    assert again.steps_ == trainer.steps_ == 58
    assert again.history_ == trainer.history_
    assert again.evaluate(x, y) == trainer.evaluate(x, y)


def test_not_fitted_yet() -> None:
    with pytest.raises(InputError, match="not fitted yet"):
        make().predict(np.zeros((1, 8, 8, 1)))
    with pytest.raises(InputError, match="kind of prediction 'clas' is not known; did you mean 'classes'"):
        make().predict(np.zeros((1, 8, 8, 1)), "clas")


def test_predict_refuses_other_shapes() -> None:
    trainer = make().fit(*digits())
    with pytest.raises(InputError, match=r"examples of shape \(64,\), the model expects \(8, 8, 1\)"):
        trainer.predict(np.zeros((1, 64)))


def test_held_arrays_are_let_go() -> None:

    make(epochs=1).fit(*digits())
    assert not in_memory._held
    source = hold(*digits())
    assert Split(source).rows == 1797
    source.release()  # type: ignore[attr-defined]
    assert not in_memory._held
