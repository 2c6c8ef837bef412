"""Behind scaled targets losses, metrics and predictions are in the units of `y`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.nn import Loss

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5))
ONE = 5000 + 300 * (X @ RNG.standard_normal((5, 1)))
TWO = np.column_stack([ONE, 0.001 * X[:, 1] - 7])
W = RNG.integers(0, 4, 90) / 2


def huber(y: np.ndarray) -> Any:
    """The loss with delta in deviations of each column."""
    spread = y.std(axis=0)

    def mean(error: np.ndarray) -> np.ndarray:
        away = np.abs(error / spread)
        return np.where(away <= 0.5, away**2 / 2, 0.5 * (away - 0.25)) * spread**2

    return mean


class Own(Loss):
    """A loss of one's own, which says nothing of units."""

    kind = "own"
    over_positions = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Any:
        error = outputs - targets
        return float((error**4).mean(axis=-1).sum()), float(len(error)), 4 * error**3 / error.shape[-1]


LOSSES: dict[str, tuple[Any, Any]] = {
    "mean_squared_error": ("mean_squared_error", lambda y: np.square),
    "mean_absolute_error": ("mean_absolute_error", lambda y: np.abs),
    "huber": ({"huber": 0.5}, huber),
    "own": (Own(), lambda y: lambda error: error**4),
}


def fitted(y: np.ndarray, loss: Any, **how: Any) -> Trainer:
    settings: dict[str, Any] = {"targets": ["standardise"], "batch": 30, "precision": "float64", **how}
    given = settings.pop("x", X), settings.pop("given", y)
    w = settings.pop("w", None)
    return Trainer([{"dense": y.shape[-1]}], loss=loss, client=THREADED, epochs=2, **settings).fit(
        *given, validation=given, sample_weight=w
    )


SCALED = [(name, targets) for name in LOSSES for targets in ("standardise", "scale")]
SCALED.remove(("huber", "scale"))  # the deviations of `huber` above are those of standardise


@pytest.mark.parametrize("y", [ONE, TWO], ids=["one output", "two outputs"])
@pytest.mark.parametrize("name, targets", SCALED)
def test_losses_are_in_the_units_of_the_targets(name: str, y: np.ndarray, targets: str) -> None:
    loss, formula = LOSSES[name]
    trainer = fitted(y, loss, targets=[targets], metrics=["rmse"])
    error = trainer.predict(X) - y
    expected = {"loss": formula(y)(error).mean(), "rmse": np.sqrt(np.mean(error**2))}
    for found in (trainer.evaluate(X, y), trainer.history_[-1]["validation"]):
        assert found == pytest.approx(expected, rel=1e-9)
    lazy = trainer.evaluate(da.from_array(X, (40, 5)), da.from_array(y, (50, -1)))
    assert lazy == pytest.approx(expected, rel=1e-9)
    each = formula(y)(error).mean(axis=1)
    assert trainer.evaluate(X, y, W)["loss"] == pytest.approx(np.average(each, weights=W), rel=1e-9)


def test_the_history_of_steps_is_in_those_units_too() -> None:
    trainer = fitted(TWO, "mean_squared_error", optimizer={"sgd": 1e-12}, batch=90)
    expected = np.mean((trainer.predict(X) - TWO) ** 2)
    record = trainer.history_[-1]
    assert record["train"]["loss"] == pytest.approx(expected, rel=1e-6)
    assert record["each_step"]["loss"] == pytest.approx([expected], rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_training_is_that_on_targets_which_were_scaled_before(name: str) -> None:
    loss, _ = LOSSES[name]
    scaled = (TWO - TWO.mean(axis=0)) / TWO.std(axis=0)
    before = fitted(TWO, loss, targets=[], given=scaled).parameters_
    for key, value in fitted(TWO, loss).parameters_.items():
        np.testing.assert_allclose(value, before[key], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(data=3),
        Layout(data=2, grain="window"),
        Layout(microbatches=2, width=2),
        Layout(data=3, shards=2, compression="float16"),
        Layout(replicas=2, average_every=2),
    ],
    ids=repr,
)
def test_every_layout_tells_them(layout: Layout) -> None:
    trainer = fitted(
        TWO, "mean_squared_error", layout=layout, w=W, optimizer={"sgd": 1e-12}, batch=90, streams=6
    )
    expected = np.average(((trainer.predict(X) - TWO) ** 2).mean(axis=1), weights=W)
    assert trainer.history_[-1]["train"]["loss"] == pytest.approx(expected, rel=1e-6)


def test_shares_of_sequences_have_the_units_of_their_positions() -> None:
    x = RNG.standard_normal((40, 6, 4))
    y = x[..., :2] * np.arange(1, 13).reshape(6, 2) + 50
    model = [{"multi_head_attention": {"heads": 2}}, {"dense": 2}]
    how: dict[str, Any] = {"loss": "mean_squared_error", "targets": ["standardise"], "precision": "float64"}
    how |= {"client": THREADED, "optimizer": {"sgd": 1e-12}, "batch": 40}
    for layout in (Layout(), Layout(sequence=3), Layout(data=2, sequence=2)):
        trainer = Trainer(model, layout=layout, **how).fit(x, y)
        expected = np.mean((trainer.predict(x) - y) ** 2)
        assert trainer.history_[-1]["train"]["loss"] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(
        InputError, match=r"layout.sequence=3: .* in the units of targets that were transformed"
    ):
        Trainer(model, layout=Layout(sequence=3), **how | {"loss": Own()}).fit(x, y)


def test_a_restored_state_is_measured_in_them(tmp_path: Path) -> None:
    trainer = fitted(TWO, "mean_squared_error", metrics=["rmse"], folder=tmp_path)
    again = Trainer(
        [{"dense": 2}], loss="mean_squared_error", metrics=["rmse"], precision="float64", client=THREADED
    )
    again.restore(tmp_path / "checkpoints" / "final")
    assert again.evaluate(X, TWO) == trainer.evaluate(X, TWO)


def test_a_column_that_never_varies_has_no_error() -> None:
    y = np.column_stack([ONE, np.full(90, 4.0)])
    trainer = fitted(y, "mean_squared_error")
    error = trainer.predict(X) - y
    assert not error[:, 1].any()
    assert trainer.evaluate(X, y)["loss"] == pytest.approx(np.mean(error**2), rel=1e-9)


def test_squares_beyond_float64_do_not_stop_a_training() -> None:
    trainer = fitted(1e200 * ONE, "mean_squared_error")
    assert np.isfinite(trainer.predict(X)).all() and trainer.evaluate(X, 1e200 * ONE)["loss"] == np.inf
