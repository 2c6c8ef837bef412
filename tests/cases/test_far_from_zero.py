"""Statistics of features that lie far from zero: no digits are lost to squares that cancel."""

import numpy as np
import pytest

from daskpar import Layout, Trainer
from daskpar.data import Standardise
from daskpar.nn import Context
from daskpar.nn.batch_norm import BatchNorm
from daskpar.nn.moments import combine, moments_about

NOISE = np.random.default_rng(0).standard_normal((512, 4))
TARGET = (NOISE[:, 0] - 0.5 * NOISE[:, 1]).astype("float32")
THREADED = "threaded-scheduler"


def first_loss(x, norm=None, **how):
    """(the loss of the first step, what float64 and two passes make of the same weights)."""
    model = [{"batch_norm": norm or {}}, {"dense": 1}]
    loss = {"loss": "mean_squared_error", "optimizer": {"sgd": 1e-30}}
    trained = Trainer(model, **loss, batch=512, steps=1, client=THREADED, **how).fit(x, TARGET)
    exact = x.astype("float64")
    normal = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    weight, bias = (trained.parameters_[f"1.{name}"].astype("float64") for name in ("weight", "bias"))
    wanted = np.mean(((normal @ weight + bias)[:, 0] - TARGET) ** 2)
    return trained.history_[0]["each_step"]["loss"][0], wanted


@pytest.mark.parametrize("mean", [0, 300, 3_000, 30_000, -100_000])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"layout": Layout(grain="layer")},
        {"layout": Layout(grain="window")},
        {"layout": Layout(stages=2)},
        {"norm": {"sync": True}, "layout": Layout(data=4)},
    ],
    ids=["step", "layer", "window", "stages", "four lanes in sync"],
)
def test_first_loss_of_batch_norm(mean, how):
    loss, wanted = first_loss((mean + NOISE).astype("float32"), **how)
    assert loss == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize(
    "layout", [Layout(), Layout(data=2), Layout(data=2, grain="window"), Layout(stages=2)]
)
@pytest.mark.parametrize("mean", [3_000, -30_000])
def test_running_statistics(layout, mean):
    """After four batches, of which the first one alone knows nothing of the mean."""
    x = (mean + 2 * NOISE).astype("float32")
    model = [{"batch_norm": {"momentum": 0.5}}, {"dense": 1}]
    how = {"loss": "mean_squared_error", "optimizer": {"sgd": 1e-30}, "client": THREADED}
    trained = Trainer(model, batch=256, epochs=2, layout=layout, **how).fit(x, TARGET)
    running_mean, variance = (trained.parameters_[f"0.running_{name}"] for name in ("mean", "variance"))
    np.testing.assert_allclose(running_mean, mean * (1 - 0.5**4), rtol=1e-3)
    np.testing.assert_allclose(variance, 0.5**4 + x.astype(float).var(0) * (1 - 0.5**4), rtol=0.1)


@pytest.mark.parametrize("mean", [3_000, 100_000])
def test_gradient_of_batch_norm(mean):
    """That of float64 on the same numbers."""
    x, dy = (mean + NOISE).astype("float32"), NOISE[:, ::-1].astype("float32")
    ctx = Context(training=True)
    results = []
    for dtype in ("float32", "float64"):
        params = {k: v.astype(dtype) for k, v in BatchNorm().init(np.random.default_rng(0), (4,))[0].items()}
        _, saved = BatchNorm().forward(params, x.astype(dtype), ctx)
        results.append(BatchNorm().backward(params, saved, dy.astype(dtype), ctx)[0])
    np.testing.assert_allclose(*results, atol=1e-5 + mean * 2e-7)


@pytest.mark.parametrize("cuts", [(), (100,), (1, 2, 500)], ids=str)
@pytest.mark.parametrize("pivot", [0.0, 2_990.0])
def test_moments_of_chunks_are_those_of_all(cuts, pivot):
    x = 3_000 + NOISE
    about = np.full(4, pivot)
    total = combine(*(moments_about(about, piece, None) for piece in np.split(x, cuts)))
    np.testing.assert_allclose(total[0] + pivot, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total[1] / total[2], x.var(0), rtol=1e-7)


@pytest.mark.parametrize("kind", ["layer_norm", "group_norm", "rms_norm"])
def test_norms_of_an_example(kind):
    from daskpar.nn.registry import layer

    built = layer({kind: 1} if kind == "group_norm" else kind)
    rows = (10_000 + NOISE.reshape(-1, 64)).astype("float32")
    outputs = []
    for dtype in ("float32", "float64"):
        params, _ = built.init(np.random.default_rng(0), (64,))
        params = {name: value.astype(dtype) for name, value in params.items()}
        outputs.append(built.forward(params, rows.astype(dtype), Context())[0])
    np.testing.assert_allclose(*outputs, atol=5e-3)


@pytest.mark.parametrize("mean", [1e6, -1e9])
def test_standardise_of_wide_numbers(mean):
    x = mean + NOISE
    kind = Standardise()
    fitted = kind.fit(kind.combine(kind.measure(x[:100]), kind.measure(x[100:])))
    np.testing.assert_allclose(fitted.apply(x), (x - x.mean(0)) / x.std(0), atol=1e-6)
