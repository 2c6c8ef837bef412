"""Gradients whose squares are beyond float32: clipped to the right norm, or told."""

import numpy as np
import pytest

from daskpar import Clip, Layout, NotFiniteError, Trainer

BASE = np.random.default_rng(0).uniform(0.5, 1.5, (64, 3))
LAYOUTS = {
    "step": Layout(),
    "layer": Layout(grain="layer"),
    "window": Layout(grain="window"),
    "lanes": Layout(data=4),
    "shards": Layout(data=2, shards=2),
    "micro-batches": Layout(microbatches=4),
    "servers": Layout(data=2, update="stale"),
}


def weights(scale, **how):
    """The weights after training from zero, and the mean gradient of the first step."""
    model = [{"dense": {"units": 1, "bias": False, "init_weight": "zeros"}}]
    x = (BASE * scale).astype("float32")
    how = {"optimizer": {"sgd": 0.1}, "batch": 64, "steps": 1, "client": "threaded-scheduler", **how}
    trained = Trainer(model, loss="mean_absolute_error", **how).fit(x, np.ones(64, "float32"))
    return trained.parameters_["0.weight"][:, 0], x.astype("float64").mean(0)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("scale", [1, 3e19, 1e30, 1e-25])
def test_clipped_to_the_norm(scale, layout):
    norm = min(1.0, scale)  # small ones are clipped, too
    moved, mean = weights(scale, clip=Clip(norm=norm), layout=layout)
    np.testing.assert_allclose(moved, 0.1 * norm * mean / np.linalg.norm(mean), rtol=1e-4)


@pytest.mark.parametrize("value", [1e20, 1e35])
def test_each_element_and_then_the_norm(value):
    moved, _ = weights(1e36, clip=Clip(value=value, norm=2.0))
    np.testing.assert_allclose(moved, np.full(3, 0.1 * 2 / np.sqrt(3)), rtol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [-40, -20, 0, 20, 37, 200])
def test_size_of_a_gradient(precision, exponent):
    if precision == "float32" and not -40 < exponent < 38:
        pytest.skip("no number of float32")
    gradient = np.array([3, 0, -4], precision) * np.array(10.0**exponent, precision)
    assert Clip(norm=1.0).size(gradient) == pytest.approx(5 * 10.0**exponent, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_told(bad):
    with pytest.raises(NotFiniteError, match="the norm of the gradient is"):
        Clip(norm=1.0).apply(np.array([1, bad], "float32"))


def test_nothing_to_clip():
    gradient = np.zeros(3, "float32")
    Clip(norm=1.0).apply(gradient)
    assert not gradient.any() and Clip(norm=1.0).size(gradient) == 0.0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adagrad", "rmsprop"])
@pytest.mark.parametrize("layout", [Layout(), Layout(data=2, shards=2), Layout(grain="window")])
def test_slots_that_overflow_are_told(optimizer, layout):
    with pytest.raises(NotFiniteError, match=r"step 3: the optimizer's \w+ of 0\.weight is not finite"):
        weights(1e20, optimizer={optimizer: 0.1}, steps=3, layout=layout)


@pytest.mark.parametrize("optimizer", ["lamb", "lars", "sgd"])
def test_other_optimizers_move_or_tell(optimizer):
    try:
        moved, _ = weights(1e20, optimizer={optimizer: 1e-22 if optimizer == "sgd" else 0.1}, steps=3)
    except NotFiniteError:
        return
    assert (np.abs(moved) > 1e-3).all()
