"""Scores without a value (NaN): no improvement for anyone, counted by patience, told once."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from daskpar import Callback, EarlyStopping, Ensemble, InputError, SoftmaxCrossEntropy, Trainer
from daskpar.cli.main import main
from daskpar.cluster.executor import THREADED
from daskpar.nn.metrics import Metric
from daskpar.report.curves import write_curves
from daskpar.train.history import improves, to_json

NAN, INF = math.nan, math.inf
X = np.random.default_rng(0).standard_normal((64, 3)).astype("float32")
Y = (X @ np.array([1.0, -2.0, 0.5])).astype("float32")
CLASSES = np.arange(64) % 3
ONE_ROW = (X[:1], Y[:1])
EQUAL = (X, np.full(64, 0.1, "float32"))
R2 = "validation.r2"


class Nothing(Metric):
    """A metric of one's own that may say None."""

    kind = "nothing"

    def sums(self, outputs: Any, targets: Any, loss: Any) -> tuple[float, ...]:
        return 0.0, 0.0

    def value(self, sums: Any) -> Any:
        return None


def make(*callbacks: Any, **options: Any) -> Trainer:
    settings: dict[str, Any] = dict(loss="mean_squared_error", metrics=["r2"], batch=16, epochs=12)
    return Trainer([{"dense": 1}], callbacks=callbacks, client=THREADED, **settings | options)


class Script(Callback):
    """Puts values in the place of what was measured."""

    def __init__(self, *values: float | None):
        self.values = values

    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        record["validation"]["r2"] = self.values[min(len(trainer.history_), len(self.values)) - 1]


@pytest.mark.parametrize(
    "name, value, best, better",
    [
        ("train.loss", NAN, None, False),
        ("train.loss", NAN, 1.0, False),
        ("train.loss", NAN, NAN, False),
        ("train.loss", INF, None, False),
        ("train.loss", INF, INF, False),
        ("train.loss", 1.0, None, True),
        ("train.loss", 1.0, NAN, True),
        ("train.loss", 1.0, INF, True),
        ("train.loss", 1.0, 1.0, False),
        (R2, NAN, None, False),
        (R2, NAN, 0.5, False),
        (R2, -INF, None, False),
        (R2, -INF, NAN, False),
        (R2, INF, None, True),
        (R2, 0.5, -INF, True),
        (R2, 0.5, NAN, True),
        (R2, -3.0, None, True),
    ],
)
def test_improvements(name: str, value: float, best: float | None, better: bool) -> None:
    spec = make(epochs=1).fit(X, Y).spec_
    assert improves(spec, name, value, best) is better


@pytest.mark.parametrize("held_out", [ONE_ROW, EQUAL], ids=["one row", "equal targets"])
@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_counts_them(held_out: Any, patience: int) -> None:
    stopping = EarlyStopping(R2, patience=patience)
    trainer = make(stopping).fit(X, Y, validation=held_out)
    assert len(trainer.history_) == 1 + patience
    assert all(math.isnan(record["validation"]["r2"]) for record in trainer.history_)
    assert stopping.best_value is None and stopping.best_state is None
    assert trainer.steps_ == trainer.steps_run_  # without a best state, the last one stays


@pytest.mark.parametrize(
    "values, evaluations, best",
    [
        ((NAN, NAN, 0.5, NAN, NAN, NAN), 5, 3),
        ((0.5, NAN, NAN), 3, 1),
        ((0.5, NAN, 0.6, NAN, NAN), 5, 3),
        ((None, None, None), 3, None),
        ((-INF, NAN, -INF), 3, None),
        ((NAN, -2.0, None, NAN), 4, 2),
    ],
    ids=str,
)
def test_the_best_is_never_one_of_them(
    tmp_path: Path, values: Any, evaluations: int, best: int | None
) -> None:
    stopping = EarlyStopping(R2, patience=2)
    trainer = make(Script(*values), stopping, folder=tmp_path).fit(X, Y, validation=0.2)
    assert len(trainer.history_) == evaluations
    kept = tmp_path / "checkpoints" / "best"
    assert kept.exists() == (best is not None)
    if best is not None:
        assert stopping.best_value == values[best - 1]
        assert trainer.steps_ == stopping.best_step == trainer.history_[best - 1]["step"]
        assert json.loads((kept / "state.json").read_text())["step"] == stopping.best_step


@pytest.mark.parametrize(
    "values, rates",
    [
        ((NAN,), [1, 1, 1, 2, 2, 4]),
        ((None,), [1, 1, 1, 2, 2, 4]),
        ((0.5, NAN), [1, 1, 1, 2, 2, 4]),
        ((NAN, 0.5, NAN), [1, 1, 1, 1, 2, 2]),
        ((NAN, 0.5, NAN, 0.6, NAN), [1, 1, 1, 1, 1, 1]),
    ],
    ids=str,
)
def test_the_plateau_counts_them(values: Any, rates: list[int]) -> None:
    plateau = {"reduce_on_plateau": {"monitor": R2, "patience": 2, "factor_each": 0.5}}
    how: dict[str, Any] = dict(schedule=plateau, optimizer={"sgd": 0.01}, epochs=6)
    trainer = make(Script(*values), **how).fit(X, Y, validation=0.2)
    assert [record["lr"] for record in trainer.history_] == [0.01 / rate for rate in rates]


@pytest.mark.parametrize("before", [1, 2])
def test_patience_goes_on_after_a_resumption(tmp_path: Path, before: int) -> None:
    def run(epochs: int, resume: bool) -> Trainer:
        plateau = {"reduce_on_plateau": {"monitor": R2, "patience": 2, "factor_each": 0.5}}
        trainer = make(EarlyStopping(R2, patience=3), epochs=epochs, folder=tmp_path, schedule=plateau)
        return trainer.fit(X, Y, validation=ONE_ROW, resume=resume)

    run(before, False)
    trainer = run(12, True)
    assert len(trainer.history_) == 4
    assert [record["lr"] for record in trainer.history_] == [1e-3, 1e-3, 1e-3, 5e-4]
    assert math.isnan(trainer.history_[0]["validation"]["r2"])


@pytest.mark.parametrize("best", [None, NAN], ids=str)
def test_a_best_without_a_value_is_taken_up(best: float | None) -> None:
    stopping = EarlyStopping(R2, patience=2)
    state = json.loads(json.dumps({"best_value": best, "best_step": 4, "waited": 0}))
    stopping.load_state_dict(state)
    trainer = make(epochs=1).fit(X, Y, validation=0.2)
    stopping.restore = False
    assert stopping.after_evaluation(trainer, trainer.history_[-1]) is None
    assert stopping.best_value == trainer.history_[-1]["validation"]["r2"]


@pytest.mark.parametrize(
    "held_out, metrics, line",
    [
        (ONE_ROW, ["r2"], "validation.r2 has no value: the targets do not vary, or there is only one"),
        (EQUAL, ["r2", "rmse"], "validation.r2 has no value: the targets do not vary, or there is only one"),
        (ONE_ROW, [Nothing()], "validation.nothing has no value: there is nothing to average"),
        ((X * np.float32(1e25), Y), [], "validation.loss is inf: the model's outputs, or their squares,"),
    ],
    ids=["one row", "equal targets", "one's own", "overflow"],
)
def test_said_once(held_out: Any, metrics: Any, line: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "daskpar"):
        make(metrics=metrics, epochs=4).fit(X, Y, validation=held_out)
    said = [r.getMessage() for r in caplog.records if "validation." in r.getMessage()]
    assert len(said) == 1 and "\n" not in said[0]
    assert said[0].startswith(f"step 4: {line}") and said[0].endswith("it counts as no improvement")


def test_evaluate_says_it(caplog: pytest.LogCaptureFixture) -> None:
    trainer = make(epochs=1).fit(X, Y)
    with caplog.at_level(logging.WARNING, "daskpar"):
        assert math.isnan(trainer.evaluate(*ONE_ROW)["r2"])
    assert [r.getMessage() for r in caplog.records] == [
        "test.r2 has no value: the targets do not vary, or there is only one"
    ]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3, -7e5], ids=str)
def test_equal_targets_have_no_r2_however_they_are_cut(value: float) -> None:
    trainer = make(epochs=1, chunk_rows=5, precision="float64", batch=8).fit(X, Y)
    assert math.isnan(trainer.evaluate(X, np.full(64, value))["r2"])


WEIGHTS = SoftmaxCrossEntropy(class_weights=(0, 1, 1))


def weightless(kind: type[Trainer] = Trainer, **options: Any) -> Trainer:
    how: dict[str, Any] = dict(loss=WEIGHTS, batch=16, client=THREADED, metrics=["accuracy"])
    return kind([{"dense": 3}], **how | options)


@pytest.mark.parametrize(
    "kind, options", [(Trainer, {}), (Ensemble, {"members": 2})], ids=["one", "ensemble"]
)
def test_evaluate_of_rows_that_weigh_nothing_is_refused(kind: Any, options: Any) -> None:
    trainer = weightless(kind, **options).fit(X, CLASSES)
    with pytest.raises(InputError, match=r"test data: the weights of all rows sum to zero, .*class_weights$"):
        trainer.evaluate(X, np.zeros(64, int))
    assert math.isfinite(trainer.evaluate(X[:2], CLASSES[:2])["loss"])  # one row of weight is enough
    weighed = trainer.predict(X[CLASSES > 0]).argmax(-1) == CLASSES[CLASSES > 0]
    assert trainer.evaluate(X[CLASSES > 0], CLASSES[CLASSES > 0])["accuracy"] == pytest.approx(weighed.mean())


def test_validation_of_rows_that_weigh_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="validation data: the weights of all rows sum to zero"):
        weightless().fit(X, CLASSES, validation=(X, np.zeros(64, int)))


def test_rows_of_a_single_class_have_values() -> None:
    trainer = weightless(loss="softmax_cross_entropy", metrics=["accuracy", "confusion"]).fit(X, CLASSES)
    told = trainer.evaluate(X, np.ones(64, int))
    assert math.isfinite(told["loss"]) and np.sum(told["confusion"]) == np.sum(told["confusion"][1]) == 64


def test_curves_and_json_take_them(tmp_path: Path) -> None:
    trainer = make(epochs=3).fit(X, Y, validation=ONE_ROW)
    write_curves(trainer.history_, tmp_path / "curves.html", "run")
    assert json.loads(to_json(trainer.history_))[0]["validation"]["r2"] is None
    assert (tmp_path / "curves.html").stat().st_size > 0


def test_the_command_line_tells_and_writes_null(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    y = np.full(64, 2.0, "float32")
    np.savez(tmp_path / "data.npz", x=X, y=y)
    config = tmp_path / "run.yaml"
    config.write_text(
        f"model: [{{dense: 1}}]\nloss: mean_squared_error\nmetrics: [r2]\n"
        f"data: {{source: npz, path: {tmp_path / 'data.npz'}}}\n"
        f"train: {{batch: 8, epochs: 9, early_stopping: {{monitor: validation.r2, patience: 2}}}}\n"
        f"cluster: {{kind: threaded-scheduler}}\nrun: {{name: constant, dir: {tmp_path}}}\n"
    )
    with caplog.at_level(logging.WARNING, "daskpar"):
        done = CliRunner().invoke(main, ["train", str(config)])
    assert done.exit_code == 0, done.output
    said = [r.getMessage().split()[0] for r in caplog.records if r.levelno == logging.WARNING]
    assert said == ["step", "step", "test.r2"]  # of train and validation; nothing is told of twice
    assert done.output.count("step 6: validation.r2 has no value: the targets do not vary") == 1
    records = [
        json.loads(line) for line in (tmp_path / "constant" / "history.jsonl").read_text().splitlines()
    ]
    assert len(records) == 3 and all(record["validation"]["r2"] is None for record in records)
    assert json.loads((tmp_path / "constant" / "summary.json").read_text())["test"]["r2"] is None
