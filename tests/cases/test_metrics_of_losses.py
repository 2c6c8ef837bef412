"""Every metric beside every loss: the number that its name says, or one line before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from daskpar import Ensemble, InputError, Layout, Trainer
from daskpar.build import check
from daskpar.cluster.executor import THREADED
from daskpar.config import load_config
from daskpar.nn.losses import Loss
from daskpar.nn.metrics import Metric
from daskpar.nn.registry import LOSSES, METRICS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 5)).astype("float32")
LABELS = (X @ RNG.standard_normal((5, 4)) > 0).astype("float32")
CLASSES = LABELS[:, 0].astype(int) + LABELS[:, 1].astype(int)
HOT = np.eye(3, dtype="float32")[CLASSES]
NUMBERS = (1000 + 50 * X[:, :2]).astype("float32")
REGRESSIONS = ("mean_squared_error", "mean_absolute_error", "huber")
SEQUENCES = np.repeat(X[:, None], 3, axis=1), np.stack([CLASSES, 2 - CLASSES, CLASSES], axis=1)


def make(loss: Any, metrics: Any, units: int, **options: Any) -> Trainer:
    settings: dict[str, Any] = dict(optimizer={"adam": 0.05}, batch=30, epochs=3, client=THREADED)
    return Trainer([{"dense": units}], loss=loss, metrics=[metrics], **settings | options)


def yes(trainer: Trainer) -> Any:
    return trainer.predict(X) > 0


def classes(trainer: Trainer) -> Any:
    return trainer.predict(X).argmax(-1)


def read(trainer: Trainer) -> Any:
    return trainer.predict(X, "probabilities").astype(np.float64)


def labels_right(trainer: Trainer, y: Any) -> Any:
    return (yes(trainer) == (y.reshape(len(y), -1) > 0.5)).mean()


def rows_right(trainer: Trainer, y: Any) -> Any:
    return (yes(trainer) == (y.reshape(len(y), -1) > 0.5)).all(axis=1).mean()


def classes_right(trainer: Trainer, y: Any) -> Any:
    return (classes(trainer) == (y.argmax(-1) if y.ndim > 1 else y)).mean()


def two_best(trainer: Trainer, y: Any) -> Any:
    return sklearn.top_k_accuracy_score(y.argmax(-1) if y.ndim > 1 else y, trainer.predict(X), k=2)


def table(trainer: Trainer, y: Any) -> Any:
    return sklearn.confusion_matrix(y.argmax(-1) if y.ndim > 1 else y, classes(trainer)).tolist()


def binary_table(trainer: Trainer, y: Any) -> Any:
    return sklearn.confusion_matrix(y.ravel(), yes(trainer).ravel()).tolist()


def rmse(trainer: Trainer, y: Any) -> Any:
    return np.sqrt(np.mean((read(trainer) - y.reshape(len(y), -1)) ** 2))


def r2(trainer: Trainer, y: Any) -> Any:
    return sklearn.r2_score(y.ravel().astype(float), read(trainer).ravel())


def shares(trainer: Trainer, y: Any) -> tuple[Any, Any]:
    """(labels, probabilities) as scikit-learn takes them."""
    share = read(trainer)
    if share.shape[1] > 1 and y.ndim == 1:
        share /= share.sum(axis=1, keepdims=True)  # in float64
    return (y > 0.5 if share.shape[1] == 1 or y.shape == share.shape else y), share


def area(trainer: Trainer, y: Any) -> Any:
    truth, share = shares(trainer, y)
    return sklearn.roc_auc_score(truth, share, multi_class="ovr")


def log_loss(trainer: Trainer, y: Any) -> Any:
    return sklearn.log_loss(*shares(trainer, y))


def perplexity(trainer: Trainer, y: Any) -> Any:
    return np.exp(log_loss(trainer, y))


def score(name: str, average: str) -> Any:
    def reference(trainer: Trainer, y: Any) -> Any:
        answers = classes(trainer) if y is CLASSES else yes(trainer)
        return getattr(sklearn, f"{name}_score")(y, answers, average=average, zero_division=0)

    return reference


COUNTED = ("f1", "precision", "recall")
SOFT, BINARY = "softmax_cross_entropy", "binary_cross_entropy"
EXACT: Any = {"accuracy": {"exact": True}}
MEASURED: list[tuple[str, Any, Any, Any]] = [
    (SOFT, "accuracy", CLASSES, classes_right),
    (SOFT, "accuracy", HOT, classes_right),
    (SOFT, {"top_k": 2}, CLASSES, two_best),
    (SOFT, {"top_k": 2}, HOT, two_best),
    (SOFT, "confusion", CLASSES, table),
    (SOFT, "confusion", HOT, table),
    (SOFT, "rmse", HOT, rmse),
    (SOFT, "r2", HOT, r2),
    (BINARY, "accuracy", LABELS, labels_right),
    (BINARY, "accuracy", LABELS[:, :2].astype(bool), labels_right),
    (BINARY, "accuracy", LABELS[:, 0].astype("int64"), labels_right),
    (BINARY, "accuracy", 0.1 + 0.8 * LABELS, labels_right),
    (BINARY, EXACT, LABELS, rows_right),
    (BINARY, "confusion", LABELS[:, :1], binary_table),
    (BINARY, "confusion", LABELS[:, 0].astype(bool), binary_table),
    (BINARY, "rmse", LABELS, rmse),
    (BINARY, "rmse", LABELS[:, 0], rmse),
    (BINARY, "r2", LABELS, r2),
    *((SOFT, name, CLASSES, score(name, "macro")) for name in COUNTED),
    *((SOFT, {name: "micro"}, CLASSES, score(name, "micro")) for name in COUNTED),
    *((BINARY, name, LABELS, score(name, "macro")) for name in COUNTED),
    *((BINARY, name, LABELS[:, :1], score(name, "binary")) for name in COUNTED),
    (SOFT, "auc", CLASSES, area),
    (BINARY, "auc", LABELS, area),
    (BINARY, "auc", LABELS[:, 0], area),
    (SOFT, "log_loss", CLASSES, log_loss),
    (BINARY, "log_loss", LABELS[:, 0], log_loss),
    (SOFT, "perplexity", CLASSES, perplexity),
    *((loss, "rmse", NUMBERS, rmse) for loss in REGRESSIONS),
    *((loss, "r2", NUMBERS, r2) for loss in REGRESSIONS),
    ("mean_squared_error", "rmse", NUMBERS[:, 0], rmse),
]
REFUSED: list[tuple[str, Any, Any, str]] = [
    (SOFT, "rmse", CLASSES, "one-hot targets"),
    (SOFT, "r2", CLASSES, "one-hot targets"),
    (BINARY, "confusion", LABELS, "labels that do not exclude each other; use accuracy"),
    (BINARY, "top_k", LABELS, "learns labels, top_k measures classes; use accuracy"),
    (BINARY, "top_k", LABELS[:, 0], "learns labels, top_k measures classes; use accuracy"),
    *(
        (loss, metric, y, f"{loss} learns numbers, .*; use rmse or r2")
        for loss in REGRESSIONS
        for metric, y in (
            ("accuracy", NUMBERS[:, 0]),
            ("accuracy", HOT),
            (EXACT, HOT),
            ("top_k", HOT),
            ("confusion", HOT),
            ("confusion", LABELS[:, 0]),
            *((name, NUMBERS[:, 0]) for name in (*COUNTED, "auc", "log_loss", "perplexity")),
        )
    ),
    (
        BINARY,
        "perplexity",
        LABELS,
        "binary_cross_entropy learns labels, perplexity measures classes; use acc",
    ),
    (SOFT, {"f1": "binary"}, CLASSES, "average=binary is for two classes or one label, the model has 3 outp"),
    (
        BINARY,
        {"auc": "binary"},
        LABELS,
        "average=binary is for two classes or one label, the model has 4 out",
    ),
    (BINARY, {"auc": {"multi_class": "ovo"}}, LABELS, "metric auc: multi_class=ovo compares pairs of class"),
]


def width(loss: str, y: Any) -> int:
    return 3 if y is CLASSES else 1 if y.ndim == 1 else y.shape[1]


def called(row: Any) -> str:
    loss, metric, y, _ = row
    name = metric if isinstance(metric, str) else "-".join(map(str, metric))
    return f"{name} of {loss}, {y.dtype}{list(y.shape[1:])}"


def test_every_metric_stands_beside_every_loss() -> None:
    pairs = {
        (loss, metric if isinstance(metric, str) else next(iter(metric)))
        for loss, metric, *_ in (*MEASURED, *REFUSED)
    }
    assert pairs == {(loss, metric) for loss in LOSSES for metric in METRICS}


@pytest.mark.parametrize("row", MEASURED, ids=called)
def test_is_what_its_name_says(row: Any) -> None:
    loss, metric, y, expected = row
    trainer = make(loss, metric, width(loss, y)).fit(X, y)
    (value,) = (value for name, value in trainer.evaluate(X, y).items() if name != "loss")
    np.testing.assert_allclose(value, expected(trainer, y), rtol=1e-5)


@pytest.mark.parametrize("row", REFUSED, ids=called)
def test_is_refused_before_the_first_step(row: Any) -> None:
    loss, metric, y, message = row
    trainer = None
    with pytest.raises(InputError, match=message) as told:
        trainer = make(loss, metric, width(loss, y))
        trainer.fit(X, y)
    assert "\n" not in str(told.value) and not hasattr(trainer, "state_")


@pytest.mark.parametrize("layout", [Layout(data=2), Layout(stages=2, microbatches=3), Layout(grain="window")])
def test_training_measures_the_same_under_any_layout(layout: Layout) -> None:
    model = [{"dense": 6}, "relu", {"dense": 4}]
    runs = []
    for each in (None, layout):
        trainer = make(BINARY, "accuracy", 4, layout=each)
        trainer.model = model
        runs.append(trainer.fit(X, LABELS, validation=(X[:40], LABELS[:40])))
    first, second = (run.history_[-1] for run in runs)
    assert first["train"]["accuracy"] == second["train"]["accuracy"]
    assert first["validation"] == pytest.approx(second["validation"])
    assert second["validation"]["accuracy"] == pytest.approx(
        ((runs[1].predict(X[:40]) > 0) == (LABELS[:40] > 0.5)).mean()
    )


@pytest.mark.parametrize("loss, y, units", [(BINARY, LABELS, 4), (SOFT, HOT, 3)], ids=["labels", "classes"])
def test_an_ensemble_is_measured_as_it_predicts(loss: str, y: Any, units: int) -> None:
    how: dict[str, Any] = dict(batch=30, epochs=2, client=THREADED, metrics=["accuracy", "rmse"])
    trained = Ensemble([{"dense": units}], members=2, loss=loss, **how).fit(X, y)
    told, share = trained.evaluate(X, y), trained.predict(X, "probabilities")
    right = (share > 0.5) == (y > 0.5) if loss == BINARY else share.argmax(-1) == y.argmax(-1)
    assert told["accuracy"] == pytest.approx(right.mean())
    assert told["rmse"] == pytest.approx(np.sqrt(np.mean((share - y) ** 2)), rel=1e-4)


def test_whole_sequences() -> None:
    x, y = SEQUENCES
    trainer = make(SOFT, EXACT, 3).fit(x, y)
    right = (trainer.predict(x).argmax(-1) == y).all(axis=1)
    assert trainer.evaluate(x, y)["exact_accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("mean", [0.0, 1e6, 1e8], ids="{:g}".format)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_r2_of_targets_far_from_zero(mean: float, precision: str) -> None:
    """In chunks of 7 rows; a bias alone, so that the residual is close to the spread."""
    y = (mean + 8 * np.random.default_rng(1).standard_normal(120)).astype(precision)
    how: dict[str, Any] = dict(precision=precision, chunk_rows=7, epochs=1, optimizer={"sgd": 0.1})
    trainer = make("mean_absolute_error", "r2", 1, **how).fit(X.astype(precision), y)
    trainer.state_ = trainer.state_._replace(params=trainer.state_.params * 0)
    trainer.spec_.table.views(trainer.state_.params)["0"]["bias"][:] = mean + 1
    expected = sklearn.r2_score(y.astype(float), trainer.predict(X.astype(precision))[:, 0].astype(float))
    assert trainer.evaluate(X.astype(precision), y)["r2"] == pytest.approx(expected, rel=1e-9, abs=1e-9)


class Absolute(Metric):
    """A metric of one's own, without a word on tasks."""

    kind = "absolute"
    larger_is_better = False

    def sums(self, outputs: Any, targets: Any, loss: Loss) -> tuple[float, ...]:
        away = abs(loss.activate(outputs) - targets)
        return float(away.sum()), float(away.size)


class Hinge(Loss):
    """A loss of one's own: classes by the largest output."""

    kind = "hinge"
    task = "classes"

    def check(self, out_shape: Any, target_shape: Any, target_dtype: Any) -> None:
        pass

    def __call__(self, outputs: Any, targets: Any) -> tuple[float, float, Any]:
        sign = 2 * np.eye(outputs.shape[-1], dtype=outputs.dtype)[targets] - 1
        gap = np.maximum(0, 1 - sign * outputs)
        return float(gap.sum()), float(len(outputs)), -sign * (gap > 0)


def test_metrics_and_losses_of_ones_own() -> None:
    trainer = make(BINARY, Absolute(), 4).fit(X, LABELS)
    expected = abs(read(trainer) - LABELS).mean()
    assert trainer.evaluate(X, LABELS)["absolute"] == pytest.approx(expected, rel=1e-5)
    trainer = make(Hinge(), "accuracy", 3).fit(X, CLASSES)
    assert trainer.evaluate(X, CLASSES)["accuracy"] == pytest.approx(classes_right(trainer, CLASSES))


def test_a_config_is_refused_before_its_data_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: [{dense: 1}]\nloss: huber\nmetrics: [accuracy]\ndata: {source: npz, path: none.npz}\n"
    )
    with pytest.raises(InputError, match="metric accuracy: huber learns numbers"):
        check(load_config(str(path), ()))
