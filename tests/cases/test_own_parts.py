"""Parts of people's own: functions as losses and metrics, classes that say what they predict, names."""

from __future__ import annotations

import pickle
from collections.abc import Callable as Function
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import daskpar
from daskpar import (
    RMSE,
    Callback,
    Context,
    EarlyStopping,
    Ensemble,
    InputError,
    Layer,
    Loss,
    Metric,
    Trainer,
    check_loss,
)
from daskpar.nn.functions import FunctionLoss, FunctionMetric
from daskpar.nn.registry import LOSSES, loss as loss_of

rng = np.random.default_rng(0)
X = rng.standard_normal((96, 4)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5, 0.0]).astype("float32")
CLASSES = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
THREADED = "threaded-scheduler"


def trained(units: int = 1, y: Any = Y, **settings: Any) -> Any:
    common: dict[str, Any] = {"batch": 16, "epochs": 3, "client": THREADED}
    return Trainer([{"dense": units}], **{**common, **settings}).fit(X, y, validation=0.25)


def squares(outputs: Any, targets: Any) -> Any:
    error = outputs - targets
    return (error * error).mean(axis=1), 2 * error / outputs.shape[1]


def entropy(outputs: Any, targets: Any) -> Any:
    share = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    hit = targets[:, None] == np.arange(outputs.shape[1])
    return -np.log(share[hit]), share - hit


def farthest(outputs: Any, targets: Any) -> Any:
    return abs(outputs - targets).max(axis=1)


LAYOUTS: list[dict[str, Any]] = [
    {"data": 2},
    {"data": 2, "grain": "window"},
    {"data": 2, "grain": "layer"},
    {"stages": 2},
    {"width": 2},
    {"shards": 2},
    {"update": "stale", "data": 2},
    {"replicas": 2, "average_every": 2},
    {"data": 2, "compression": "float16"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_function_trains_as_the_loss_of_its_formula(layout: Any) -> None:
    model = [{"dense": 4}, {"dense": 1}]
    settings: dict[str, Any] = {"batch": 16, "client": THREADED, "layout": layout, "precision": "float64"}
    one, other = (Trainer(model, loss=loss, **settings).fit(X, Y) for loss in (squares, "mse"))
    for name, value in one.parameters_.items():
        np.testing.assert_allclose(value, other.parameters_[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("across", [False, True], ids=["here", "processes"])
def test_functions_travel_to_workers(across: bool, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue("processes_client") if across else THREADED
    shift = 1.0  # a function that holds a value

    def shifted(outputs: Any, targets: Any) -> Any:
        return squares(outputs, targets - shift)

    found = trained(
        loss=shifted, metrics=[farthest, {"near": lambda o, t: 1.0 * (abs(o - t)[:, 0] < 1)}], client=client
    )
    scores = found.history_[-1]["validation"]
    assert scores.keys() == {"loss", "farthest", "near"} and 0 <= scores["near"] <= 1
    assert found.evaluate(X, Y)["farthest"] == pytest.approx(abs(found.predict(X)[:, 0] - Y).mean(), rel=1e-5)


def test_a_trainer_with_functions_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(trained(loss=squares, metrics=farthest)))
    assert again.loss is squares and again.evaluate(X, Y)["farthest"] > 0


def test_a_function_of_classes() -> None:
    names = np.array(["none", "one", "two"])[CLASSES]
    found, other = (
        trained(3, names, loss=loss, metrics="accuracy", precision="float64")
        for loss in (FunctionLoss(entropy, task="classes"), "cross_entropy")
    )
    assert (found.predict(X, "classes") == other.predict(X, "classes")).all()
    np.testing.assert_allclose(
        found.predict(X, "probabilities"), other.predict(X, "probabilities"), rtol=1e-9
    )
    assert found.classes_.tolist() == ["none", "one", "two"]
    np.testing.assert_array_equal(found.predict(X, kind="proba"), found.predict(X, "probabilities"))


class Hinge(Loss):
    """Classes by margins (Weston and Watkins 1999)."""

    task = "classes"

    def __call__(self, outputs: Any, targets: Any) -> Any:
        rows = np.arange(len(outputs))
        gap = np.maximum(0, 1 + outputs - outputs[rows, targets][:, None])
        gap[rows, targets] = 0
        slope = (gap > 0).astype(outputs.dtype)
        slope[rows, targets] = -slope.sum(axis=1)
        return float(gap.sum()), float(len(outputs)), slope


class Yes(Loss):
    """Labels by the squared error of tanh."""

    task = "labels"

    def __call__(self, outputs: Any, targets: Any) -> Any:
        y = np.tanh(outputs)
        error = y - (2 * targets.reshape(outputs.shape) - 1)
        return float((error * error).sum()), float(len(outputs)), 2 * error * (1 - y * y)


def test_predictions_of_an_own_loss_go_by_its_task() -> None:
    labels = np.array(["a", "b", "c"])[CLASSES]
    hinge = trained(3, labels, loss=Hinge(), metrics="accuracy", epochs=30, learning_rate=0.05)
    assert (hinge.predict(X, "classes") == labels).mean() == hinge.evaluate(X, labels)["accuracy"] > 0.8
    assert np.allclose(hinge.predict(X, "probabilities").sum(axis=1), 1)
    yes = trained(1, CLASSES > 0, loss=Yes(), metrics="accuracy", epochs=30, learning_rate=0.05)
    assert set(yes.predict(X, "classes").ravel().tolist()) == {False, True}
    assert yes.evaluate(X, CLASSES > 0)["accuracy"] > 0.8
    with pytest.raises(
        InputError, match=r"the model returns \(1,\) per example; expected one output a class"
    ):
        trained(1, CLASSES, loss=Hinge())
    members = Ensemble([{"dense": 3}], members=2, loss=Hinge(), batch=16, client=THREADED).fit(X, CLASSES)
    assert np.allclose(np.exp(members.predict(X)).sum(axis=1), 1)


@pytest.mark.parametrize(
    "loss",
    [*LOSSES, squares, FunctionLoss(entropy, task="classes"), Hinge(), Yes()],
    ids=lambda loss: loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__),
)
def test_losses_pass_their_check(loss: Any) -> None:
    task = loss_of(loss).task
    shape = (3,) if task == "classes" else (2,)
    check_loss(loss, shape, np.array([0, 2, 1, 1]) if task == "classes" else rng.random((4, 2)))


class Mean(Loss):
    def __call__(self, outputs: Any, targets: Any) -> Any:
        error = outputs - targets.reshape(outputs.shape)
        return float((error * error).mean()), 1.0, 2 * error / error.size


def writing(outputs: Any, targets: Any) -> Any:
    outputs -= targets
    return (outputs**2)[:, 0], 2 * outputs


def test_a_broken_loss_is_told_what_is_wrong() -> None:
    one_line(
        lambda: check_loss(Mean(), (1,), [0.0, 1.0]), "'rows' fails: the losses and weights of rows do not"
    )
    one_line(
        lambda: check_loss(writing, (1,), [0.0, 1.0]),
        "writing: check 'purity' fails: it writes to the outputs",
    )
    one_line(lambda: check_loss(lambda o, t: (o[:, 0], o), (1,), [0.0, 1.0]), "check 'gradients' fails")
    one_line(lambda: check_loss("mse", (2,), [0.0, 1.0]), "the model returns (2,) per example")


def one_line(make: Function[[], Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value) and "\n" not in str(caught.value), str(caught.value)


FUNCTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no pair": (
        {"loss": lambda o, t: (o - t) ** 2},
        "loss loss: expected (losses of the rows, gradient with",
    ),
    "a sum": (
        {"loss": lambda o, t: ((o - t).sum(), o)},
        "loss loss: for outputs of shape (2, 1) expected losses of shape (2,), got ()",
    ),
    "no array": ({"loss": lambda o, t: (0.0, o)}, "expected losses of shape (2,), got 0.0"),
    "a gradient of rows": (
        {"loss": lambda o, t: (o[:, 0], o[:, 0])},
        "expected gradient of shape (2, 1), got (2,)",
    ),
    "an error": ({"loss": lambda o: o}, "loss loss: raised TypeError"),
    "a metric of outputs": (
        {"metrics": {"m": lambda o, t: o}},
        "metric m: for outputs of shape (2, 1) expected va",
    ),
    "a metric that is a mean": ({"metrics": {"m": lambda o, t: 0.5}}, "one a row, got 0.5"),
    "two metrics of a name": (
        {"metrics": [farthest, farthest]},
        "two are called 'farthest'; give one another name",
    ),
    "two that are alike": (
        {"metrics": ["rmse", "root_mean_squared_error"]},
        "metrics: two are called 'rmse'; give one another name, e.g. {rmse: {name: rmse_2}}",
    ),
    "a name that is taken": ({"metrics": {"rmse": {"name": "loss"}}}, "two are called 'loss'"),
}


@pytest.mark.parametrize("settings, words", FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_functions_return_is_checked_before_a_run(settings: Any, words: str) -> None:
    one_line(lambda: trained(**{"loss": "mse", **settings}), words)


@dataclass(frozen=True)
class Doubled(Layer):
    """Twice its input; `bad` says what it does wrong."""

    bad: str = ""

    def init(self, rng: Any, in_shape: Any) -> Any:
        return ({}, 3) if self.bad == "init" else ({}, in_shape)

    def forward(self, params: Any, x: Any, ctx: Context) -> Any:
        if self.bad == "raise":
            raise RuntimeError("no\nway")
        return {"forward": x[:, :-1], "dtype": x.astype("float64")}.get(self.bad, 2 * x), None

    def backward(self, params: Any, saved: Any, dy: Any, ctx: Context) -> Any:
        return (dy[:, :-1] if self.bad == "backward" else 2 * dy), {"no": dy} if self.bad == "names" else {}


LAYERS = {
    "init": "init returned 3 as the shape of an output; expected a tuple of integers",
    "forward": "forward returned an output of shape (2, 3); expected (2, 4)",
    "dtype": "forward returned an output of float64; expected float32, as its input",
    "backward": "backward returned dx of shape (2, 3); expected (2, 4)",
    "names": "backward returned gradients 'no'; expected one for each parameter, none",
    "raise": "raised RuntimeError: no way",
}


@pytest.mark.parametrize("bad", LAYERS)
def test_a_wrong_shape_names_the_layer(bad: str) -> None:
    def train(model: Any) -> Any:
        return Trainer(model, loss="mse", client=THREADED).fit(X, Y)

    layer = Doubled(bad)
    one_line(lambda: train(["tanh", layer, {"dense": 1}]), f"layer 1: layer: {LAYERS[bad]}")
    within = [{"residual": ["tanh", layer]}, {"dense": 1}]
    place = "layer 0: layer 1" if bad == "init" else "layer 0.1"
    one_line(lambda: train(within), f"{place}: layer: {LAYERS[bad]}")
    assert train([Doubled(), {"dense": 1}]).steps_ == 3


class Wrong(Loss):
    def __call__(self, outputs: Any, targets: Any) -> Any:
        return float(outputs.sum()), outputs


class Flat(Loss):
    def __call__(self, outputs: Any, targets: Any) -> Any:
        return float(outputs.sum()), 1.0, outputs.sum(axis=1)


class Short(Metric):
    name = "short"

    def sums(self, outputs: Any, targets: Any, loss: Any) -> Any:
        return (1.0,)


def test_own_losses_and_metrics_are_tried_before_a_run() -> None:
    one_line(lambda: trained(loss=Wrong()), "loss loss: returned (")
    one_line(lambda: trained(loss=Flat()), "loss loss: returned a gradient of shape (2,); expected (2,")
    one_line(
        lambda: trained(loss="mse", metrics=Short()),
        "metric short: sums returned (1.0,); expected a tuple of 2",
    )


def test_metrics_have_names() -> None:
    found = trained(
        loss="mse",
        metrics=[
            "rmse",
            {"rmse": {"name": "error"}},
            RMSE(name="mine"),
            FunctionMetric(farthest, name="far"),
        ],
        callbacks=EarlyStopping("validation.error"),
    )
    scores = found.history_[-1]["validation"]
    assert list(scores) == ["loss", "rmse", "error", "mine", "far"]
    assert scores["rmse"] == scores["error"] == scores["mine"]


class Stopping(Callback):
    def after_evaluation(self, run: Any, record: Any) -> bool:
        return bool(record["epoch"] == 2)


def test_the_largest_of_a_function_s_values_is_the_best_unless_it_is_said() -> None:
    def negative(outputs: Any, targets: Any) -> Any:
        return -abs(outputs - targets)[:, 0]

    stopping = [EarlyStopping(f"validation.{name}", patience=100) for name in ("negative", "farthest")]
    metrics = [negative, FunctionMetric(farthest, larger_is_better=False)]
    trained(loss="mse", metrics=metrics, callbacks=stopping, epochs=6)
    assert stopping[0].best_step == stopping[1].best_step > 6
    assert stopping[0].best_value == pytest.approx(-(stopping[1].best_value or 0))


CONTRACTS = "Callback Layer Loss Metric Optimizer Schedule Source Transform".split()


@pytest.mark.parametrize("name", CONTRACTS)
def test_contracts_are_public_and_show_an_example(name: str) -> None:
    """tests/test_examples.py runs them."""
    example = [
        line for line in (getattr(daskpar, name).__doc__ or "").splitlines() if line.strip()[:4] == "... "
    ]
    assert 2 <= len(example) <= 10


def test_the_class_of_another_library_is_answered_with_ours() -> None:
    with pytest.raises(InputError, match=r"expected a Layer, got Linear.*; that layer is called Dense"):
        Trainer([daskpar.Linear()])
