"""Weights of rows and of classes, in every layout: what they compute, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight

from daskpar import Ensemble, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Npy, Npz, Split
from daskpar.nn import Loss, SoftmaxCrossEntropy

RNG = np.random.default_rng(5)
ROWS = 40
X = RNG.standard_normal((ROWS, 8))
Y = (X[:, 0] > 0.5).astype(int) + 2 * (X[:, 1] > 0)
NUMBERS = X[:, :2] + 3
W = RNG.integers(0, 7, ROWS) / 2
MODEL = [{"dense": 8}, "tanh", {"dense": 8}, "tanh", {"dense": 4}]
IMAGES = X.reshape(ROWS, 4, 2, 1)
CNN = [{"conv2d": {"channels": 2, "padding": "same"}}, "tanh", "flatten", {"dense": 4}]
TEXT = RNG.integers(0, 8, (ROWS, 6))
GPT = [{"embedding": {"words": 8, "features": 8}}, {"transformer_block": {"heads": 2}}, {"dense": 8}]


def fitted(
    kind: Any = Trainer, x: Any = X, y: Any = Y, w: Any = None, validation: Any = None, **how: Any
) -> Any:
    how = {"batch": 16, "epochs": 1, "precision": "float64", "client": THREADED, "streams": 8, **how}
    model = how.pop("model", MODEL)
    return kind(model, **how).fit(x, y, validation, sample_weight=w)


SAME = [
    {},
    {"layout": Layout(data=4, fan_in=2)},
    {"layout": Layout(data=2, grain="stage")},
    {"layout": Layout(data=2, grain="layer")},
    {"layout": Layout(data=2, grain="window")},
    {"layout": Layout(lanes=(3, 1))},
    {"layout": Layout(stages=2, microbatches=3)},
    {"layout": Layout(data=2, stages=2, microbatches=2, shards=2, recompute=True)},
    {"layout": Layout(width=2)},
    {"layout": Layout(width=2), "metrics": ["accuracy"]},
    {"layout": Layout(data=2, width=4, stages=2, microbatches=2)},
    {"accumulate": 3},
    {"layout": Layout(data=2), "drop_last": True},
    {"layout": Layout(data=4), "distribution": "stratified"},
    {"layout": Layout(data=2), "distribution": "uniform", "chunk_rows": 7},
    {"x": IMAGES, "model": CNN, "layout": Layout(data=2, tiles=2)},
    {"x": TEXT, "y": TEXT, "model": GPT, "layout": Layout(sequence=3), "metrics": ["accuracy", "f1"]},
    {"x": TEXT, "y": TEXT, "model": GPT, "layout": Layout(data=2, sequence=2, width=2)},
    {"x": np.stack([X] * 4, 1), "y": np.stack([X] * 4, 1), "model": [{"multi_head_attention": {"heads": 2}}]}
    | {"loss": "mean_squared_error", "layout": Layout(sequence=2), "metrics": ["rmse"]},
    {"y": NUMBERS, "model": [{"dense": 2}], "loss": "huber", "layout": Layout(data=2, stages=1)},
    {"y": None, "model": [{"dense": 3}, {"dense": 8}], "loss": "mean_absolute_error", "targets": ["inputs"]},
    {"y": np.eye(4)[Y], "loss": "binary_cross_entropy", "layout": Layout(data=2, shards=2)},
]
OTHERS = [
    Layout(data=2, compression="float16"),
    Layout(replicas=2, average_every=2),
    Layout(data=2, update="stale"),
    Layout(update="async"),
]


def told(how: Any) -> str:
    how = how if isinstance(how, dict) else {"layout": how}
    default = vars(Layout())
    layout = {k: v for k, v in vars(how.get("layout", Layout())).items() if v != default[k]}
    return ",".join(
        f"{k}={v}" for k, v in {**layout, **how}.items() if k not in ("x", "y", "model", "layout")
    )


@pytest.mark.parametrize("how", SAME, ids=told)
def test_every_cut_computes_with_weights_what_one_device_does(how: dict[str, Any]) -> None:
    cut = fitted(w=W, **how)
    whole = fitted(w=W, **{k: v for k, v in how.items() if k not in ("layout", "accumulate")})
    for name, value in whole.parameters_.items():
        np.testing.assert_allclose(cut.parameters_[name], value, rtol=0, atol=1e-12, err_msg=name)
    for one, other in zip(whole.history_, cut.history_, strict=True):
        np.testing.assert_allclose(other["each_step"]["loss"], one["each_step"]["loss"], rtol=1e-12)
        assert other["train"] == pytest.approx(one["train"], rel=1e-12)


@pytest.mark.parametrize("how", [*SAME, *({"layout": layout} for layout in OTHERS)], ids=told)
def test_weights_of_one_are_none_and_a_factor_changes_nothing(how: dict[str, Any]) -> None:
    how = {"precision": "float32", **how}
    none, ones = fitted(**how), fitted(w=np.ones(ROWS), **how)
    assert ones.parameters_sha256_ == none.parameters_sha256_
    assert ones.history_[-1]["train"] == none.history_[-1]["train"]
    some, twice = fitted(w=W + 0.1, **how), fitted(w=2 * W + 0.2, **how)
    assert some.parameters_sha256_ == twice.parameters_sha256_ != none.parameters_sha256_
    assert some.history_[-1]["train"] == pytest.approx(twice.history_[-1]["train"], rel=1e-6)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"])
def test_whole_weights_are_rows_that_occur_as_often(loss: str) -> None:
    times = np.arange(ROWS) % 4
    rows = np.repeat(np.arange(ROWS), times)
    y = Y if loss.startswith("softmax") else np.eye(4)[Y]
    how = {"loss": loss, "distribution": "uniform", "optimizer": {"sgd": 0.5}, "steps": 3, "epochs": None}
    metrics = ["rmse", "r2"] if loss == "mean_squared_error" else ["accuracy", "f1", "log_loss", "auc"]
    how |= {"metrics": metrics, "streams": 1}
    weighed = fitted(y=y, w=times, batch=ROWS, **how)
    repeated = fitted(x=X[rows], y=y[rows], batch=len(rows), **how)
    for name, value in repeated.parameters_.items():
        np.testing.assert_allclose(weighed.parameters_[name], value, rtol=0, atol=1e-12)
    assert weighed.history_[-1]["train"] == pytest.approx(repeated.history_[-1]["train"], rel=1e-10)
    assert weighed.evaluate(X, y, times) == pytest.approx(repeated.evaluate(X[rows], y[rows]), rel=1e-10)


CARRIERS = {
    "array": lambda: (X, Y, W),
    "list": lambda: (X, Y, W.tolist()),
    "column": lambda: (X, Y, W[:, None]),
    "float32": lambda: (X, Y, W.astype("float32")),
    "series": lambda: (X, Y, pd.Series(W, index=np.arange(ROWS)[::-1])),
    "dask": lambda: (da.from_array(X, (9, 8)), da.from_array(Y, 12), da.from_array(W, 7)),
    "dask and arrays": lambda: (X, Y, da.from_array(W, 7)),
    "arrays and dask": lambda: (da.from_array(X, (9, 8)), Y, W),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_weights_come_as_arrays_of_any_kind(carrier: str) -> None:
    x, y, w = CARRIERS[carrier]()
    trainer = fitted(x=x, y=y, w=w)
    assert trainer.parameters_sha256_ == fitted(w=W).parameters_sha256_
    assert trainer.evaluate(x, y, w) == trainer.evaluate(X, Y, W)


def test_weights_reach_other_processes(processes_client: Any) -> None:
    expected = fitted(w=W, class_weight="balanced").parameters_sha256_
    for x in (X, da.from_array(X, (9, 8))):
        trainer = fitted(x=x, w=W, class_weight="balanced", client=processes_client)
        assert trainer.parameters_sha256_ == expected


def test_files_hold_weights(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y, weights=W)
    paths = {name: tmp_path / f"{name}.npy" for name in ("x", "y", "weights")}
    for path, values in zip(paths.values(), (X, Y, W), strict=True):
        np.save(path, values)
    files = {name: str(path) for name, path in paths.items()}
    for source in (Npz(str(tmp_path / "a.npz")), Npy(**files)):
        assert fitted(x=source, y=None).parameters_sha256_ == fitted(w=W).parameters_sha256_
        with pytest.raises(InputError, match="train data: sample_weight is for arrays; a source has weights"):
            fitted(x=Split(source), y=None, w=W)
    np.savez(tmp_path / "a.npz", x=X, y=Y, weights=W[1:])
    with pytest.raises(InputError, match=r"a.npz: sample weights of shape \(39,\) for 40 rows"):
        fitted(x=Npz(str(tmp_path / "a.npz")), y=None)


def test_evaluation_and_validation_are_weighed() -> None:
    trainer = fitted(w=W, metrics=["accuracy"], validation=(X, Y, W))
    share = trainer.predict(X, "probabilities")
    expected = {
        "loss": log_loss(Y, share, sample_weight=W),
        "accuracy": accuracy_score(Y, share.argmax(-1), sample_weight=W),
    }
    assert trainer.evaluate(X, Y, W) == pytest.approx(expected, rel=1e-12)
    assert trainer.history_[-1]["validation"] == pytest.approx(expected, rel=1e-12)
    assert trainer.evaluate(X, Y)["accuracy"] == accuracy_score(Y, share.argmax(-1))


def test_a_share_for_validation_keeps_its_weights() -> None:
    half = np.where(np.arange(ROWS) % 2, 1.0, 3.0)
    weighed, plain = (fitted(w=w, validation=0.5).history_[-1]["validation"] for w in (half, None))
    assert weighed["loss"] != plain["loss"]


def test_a_batch_in_which_no_row_counts_is_a_step_of_no_gradient() -> None:
    rows = np.arange(ROWS) < 16
    trainer = fitted(w=rows, distribution="uniform", streams=1, optimizer={"sgd": 0.5}, epochs=1)
    alone = fitted(x=X[:16], y=Y[:16], distribution="uniform", streams=1, optimizer={"sgd": 0.5}, epochs=1)
    assert trainer.parameters_sha256_ == alone.parameters_sha256_
    losses = trainer.history_[0]["each_step"]["loss"]
    assert len(losses) == 3 and np.isnan(losses[1:]).all()
    assert trainer.history_[0]["train"] == alone.history_[0]["train"]


@pytest.mark.parametrize("kind", ["arrays", "dask"])
@pytest.mark.parametrize(
    "weights, message",
    [
        (W[1:], r"sample weights of shape \(39,\) for 40 rows of examples; expected one number a row"),
        (np.ones((ROWS, 2)), r"sample weights of shape \(40, 2\) for 40 rows"),
        (W - 1, "negative values in the sample weights, the least -1; expected numbers from 0 on"),
        (np.where(W > 2, np.nan, W), "NaN or infinite values in the sample weights; give each row a number"),
        (np.where(W > 2, np.inf, W), "NaN or infinite values in the sample weights"),
        (np.zeros(ROWS), "the sample weights of all rows are 0; give at least one row a weight above 0"),
        (np.array(["a"] * ROWS), "expected numbers, got sample weights of <U1"),
    ],
)
def test_weights_that_are_none_are_refused_in_a_line(kind: str, weights: Any, message: str) -> None:
    if kind == "dask":
        weights = da.from_array(weights, 10)
    with pytest.raises(InputError, match=f"^train.*{message}") as caught:
        fitted(w=weights)
    assert "\n" not in str(caught.value)
    if not kind == "dask":
        with pytest.raises(InputError, match=f"^validation.*{message}"):
            fitted(validation=(X, Y, weights))
        with pytest.raises(InputError, match=f"^test.*{message}"):
            fitted().evaluate(X, Y, weights)


def test_evaluating_rows_that_do_not_count_is_refused() -> None:
    with pytest.raises(InputError, match="test data: the weights of all rows sum to zero"):
        fitted().evaluate(da.from_array(X, (9, 8)), Y, da.zeros(ROWS, chunks=9))


def test_an_ensemble_takes_weights() -> None:
    twins = fitted(Ensemble, w=W, members=2)
    assert twins.members_[0].parameters_sha256_ == fitted(w=W).parameters_sha256_
    assert twins.evaluate(X, Y, W) != twins.evaluate(X, Y)


class Plain(Loss):
    """A loss that knows nothing of weights."""

    kind = "plain"
    task = "classes"

    def classes(self, out_shape: Any) -> int | None:
        return out_shape[-1]

    def check(self, *_: Any) -> None: ...

    def __call__(self, outputs: Any, targets: Any) -> Any:
        return SoftmaxCrossEntropy()(outputs, targets)


def test_a_loss_of_ones_own_is_weighed() -> None:
    own, ours = fitted(w=W, loss=Plain()), fitted(w=W)
    for name, value in ours.parameters_.items():
        np.testing.assert_allclose(own.parameters_[name], value, rtol=0, atol=1e-12)


LABELS = np.array(["cat", "dog", "fox", "owl"])


@pytest.mark.parametrize(
    "y, how, given, expected",
    [
        (Y, {}, {0: 2, 3: 0.5}, (2, 1, 1, 0.5)),
        (Y, {}, {np.int64(0): 2, "3": 0.5}, (2, 1, 1, 0.5)),
        (LABELS[Y], {}, {"dog": 0, "owl": 4}, (1, 0, 1, 4)),
        (10 * Y, {}, {10: 3}, (1, 3, 1, 1)),
        (np.eye(4)[Y], {}, {1: 3}, (1, 3, 1, 1)),
        (Y > 1, {"loss": "binary_cross_entropy", "model": [{"dense": 1}]}, {1: 5}, (1, 5)),
        (
            np.where(Y > 1, "yes", "no"),
            {"loss": "binary_cross_entropy", "model": [{"dense": 1}]},
            {"yes": 5},
            (1, 5),
        ),
    ],
    ids=["classes", "other numbers", "texts", "numbered", "one-hot", "a label", "a label of texts"],
)
def test_weights_of_classes_are_those_of_their_rows(y: Any, how: Any, given: Any, expected: Any) -> None:
    trainer = fitted(y=y, class_weight=given, **how)
    assert trainer.spec_.class_weights == expected
    numbers = np.unique(y, return_inverse=True)[1] if np.ndim(y) == 1 else y.argmax(1)
    assert trainer.parameters_sha256_ == fitted(y=y, w=np.array(expected)[numbers], **how).parameters_sha256_
    assert trainer.parameters_sha256_ == (
        fitted(y=da.from_array(y, 9) if np.ndim(y) == 1 else y, class_weight=given, **how).parameters_sha256_
        if y.dtype.kind != "i" or y.max() < 4
        else trainer.parameters_sha256_
    )


@pytest.mark.parametrize("how", SAME[:11], ids=told)
def test_class_weights_of_every_layout_are_those_of_the_loss(how: dict[str, Any]) -> None:
    how = {k: v for k, v in how.items() if k != "metrics"}
    weights = (0.5, 2.0, 1.0, 3.0)
    found = fitted(class_weight=dict(enumerate(weights)), **how)
    expected = fitted(loss=SoftmaxCrossEntropy(class_weights=weights))
    for name, value in expected.parameters_.items():
        np.testing.assert_allclose(found.parameters_[name], value, rtol=0, atol=1e-12)


def test_balanced_is_scikit_learns_over_the_training_part() -> None:
    classes = np.arange(4)
    for x, y in ((X, Y), (da.from_array(X, (9, 8)), da.from_array(Y, 7))):
        found = fitted(x=x, y=y, class_weight="balanced", chunk_rows=11).spec_.class_weights
        np.testing.assert_allclose(found, compute_class_weight("balanced", classes=classes, y=Y), rtol=1e-12)
    times = np.arange(ROWS) % 3
    found = fitted(w=times, class_weight="balanced").spec_.class_weights
    repeated = compute_class_weight("balanced", classes=classes, y=np.repeat(Y, times))
    np.testing.assert_allclose(found, repeated, rtol=1e-12)
    half = fitted(x=da.from_array(X, (9, 8)), validation=0.5, class_weight="balanced").spec_.class_weights
    np.testing.assert_allclose(half, compute_class_weight("balanced", classes=classes, y=Y[:20]), rtol=1e-12)


def test_only_rows_to_train_on_are_weighed_by_class() -> None:
    trainer = fitted(class_weight={0: 9}, metrics=["accuracy"], validation=(X, Y))
    share = trainer.predict(X, "probabilities")
    assert trainer.history_[-1]["validation"]["loss"] == pytest.approx(log_loss(Y, share), rel=1e-12)
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(log_loss(Y, share), rel=1e-12)


def test_a_resumed_run_keeps_its_balance(tmp_path: Path) -> None:
    whole = fitted(class_weight="balanced", folder=tmp_path / "a", epochs=2)
    fitted(class_weight="balanced", folder=tmp_path / "b")
    trainer = Trainer(MODEL, batch=16, epochs=2, precision="float64", client=THREADED, streams=8)
    trainer.class_weight, trainer.folder = "balanced", tmp_path / "b"
    assert trainer.fit(X, Y, resume=True).parameters_sha256_ == whole.parameters_sha256_


@pytest.mark.parametrize(
    "how, message",
    [
        (
            {"class_weight": "even"},
            "train.class_weight='even': expected \"balanced\", or a mapping from labels",
        ),
        ({"class_weight": [1, 2]}, "train.class_weight=.*: expected"),
        ({"class_weight": {}}, "train.class_weight={}: expected"),
        ({"class_weight": {0: -1}}, "train.class_weight: the weight of 0 is -1; expected a number from 0 on"),
        ({"class_weight": {0: np.nan}}, "train.class_weight: the weight of 0 is nan"),
        ({"class_weight": {0: "a"}}, "train.class_weight: the weight of 0 is 'a'"),
        ({"class_weight": {0: 0, 1: 0}}, "train.class_weight: all weights are 0"),
        ({"class_weight": {7: 1}}, "train.class_weight: 7 is no label of the data; known: 0, 1, 2, 3"),
        (
            {"class_weight": {0: 1}, "y": NUMBERS, "model": [{"dense": 2}], "loss": "huber"},
            r"train.class_weight needs one class a row, huber of \(2,\) learns numbers",
        ),
        (
            {"class_weight": "balanced", "y": np.eye(4)[Y], "loss": "binary_cross_entropy"},
            "train.class_weight needs one class a row, .* learns labels; use binary_cross_entropy.pos_weight",
        ),
        (
            {"class_weight": "balanced", "y": np.full((ROWS, 4), 0.25)},
            "train data: class_weight needs one class a row; the targets are float64 numbers",
        ),
        (
            {"class_weight": {0: 2}, "x": TEXT, "y": TEXT, "model": GPT},
            "class_weight needs one class a row",
        ),
    ],
)
def test_weights_of_classes_that_are_none_are_refused_in_a_line(how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        fitted(**how)
    assert "\n" not in str(caught.value)
