"""Statistics of features that lie far from zero: no digits are lost to squares that cancel."""

from functools import reduce

import dask.array as da
import numpy as np
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.data import Scale, Standardise
from daskpar.nn import Context
from daskpar.nn.layers.batch_norm import BatchNorm
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


@pytest.mark.parametrize(
    "layout",
    [
        Layout(data=2, update="async"),
        Layout(data=2, update="async", shards=2),
        Layout(data=2, update="stale", staleness=3),
        Layout(replicas=2, data=2),
        Layout(microbatches=8),
        Layout(data=2, compression="float16"),
        Layout(data=2, lanes=(1, 3)),
        Layout(width=2),
    ],
    ids=["async", "two servers", "stale", "replicas", "micro-batches", "half", "unequal lanes", "width"],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_running_variance_of_any_layout(layout, precision):
    """Also where gradients were worked out before statistics had begun, and come after."""
    model = ["batch_norm", {"dense": 4}, "relu", {"dense": 1}]
    how = {"loss": "mean_squared_error", "optimizer": {"sgd": 1e-30}, "client": THREADED}
    trained = Trainer(model, batch=64, epochs=6, layout=layout, precision=precision, **how)
    trained.fit((30_000 + NOISE).astype("float32"), TARGET)
    np.testing.assert_allclose(trained.parameters_["0.running_variance"], NOISE.var(0), rtol=0.1)


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


@pytest.mark.parametrize(
    "layout, sync",
    [
        *[(Layout(), False), (Layout(), True), (Layout(data=4, fan_in=2), False)],
        *[(Layout(data=4, fan_in=2), True), (Layout(tiles=2), True)],  # tiles need shared statistics
    ],
    ids=["one", "one-sync", "four lanes", "four lanes-sync", "tiles-sync"],
)
def test_images_train_as_in_float64(layout, sync):
    """Eight steps with a batch norm in front, and one behind a convolution."""
    rng = np.random.default_rng(2)
    x = (30_000 + rng.standard_normal((128, 6, 6, 2))).astype("float32")
    norm = {"batch_norm": {"sync": sync}}
    model = [norm, {"conv2d": {"channels": 4, "kernel": 3}}, norm, "relu", "global_avg_pool", {"dense": 1}]
    how = {"loss": "mean_squared_error", "optimizer": {"sgd": 0.05}, "batch": 32, "epochs": 2}
    ends = []
    for precision in ("float32", "float64"):
        trained = Trainer(model, **how, layout=layout, precision=precision, client=THREADED)
        trained.fit(x, x[:, 0, 0, 0] - 30_000)
        ends.append([*trained.history_[-1]["each_step"]["loss"], *trained.parameters_["0.running_variance"]])
    np.testing.assert_allclose(*ends, rtol=0.01 if sync else 0.1)  # see BatchNorm._away


def test_batch_norm_of_positions_with_a_mask():
    x, mask = (3_000 + NOISE.reshape(64, 8, 4)).astype("float32"), NOISE.reshape(64, 8, 4)[..., 0] > 0
    x[~mask] = 0
    params, _ = BatchNorm().init(np.random.default_rng(0), (8, 4))
    params = {name: value.astype("float32") for name, value in params.items()}
    y, _ = BatchNorm().forward(params, x, Context(training=True).masked(mask))
    exact = x[mask].astype("float64")
    np.testing.assert_allclose(y[mask], (exact - exact.mean(0)) / exact.std(0), atol=2e-3)


def fitted(kind, x, cuts=(100,)):
    return kind.fit(reduce(kind.combine, map(kind.measure, np.split(x, cuts))))


@pytest.mark.parametrize(
    "x",
    [
        1e6 + NOISE,
        -1e9 + NOISE,
        1e12 + NOISE,
        (1e6 + NOISE).astype("float32"),
        (1e30 * NOISE).astype("float32"),
        (1e-42 * NOISE).astype("float32"),
        1.7e9 + np.round(NOISE),
        1e155 * NOISE,
        1e305 * NOISE,
        1e305 * (1 + 1e-3 * NOISE),
        1e-170 * NOISE,
        1e-300 * NOISE,
        np.concatenate([NOISE[:300], 1e8 + NOISE[300:]]),
    ],
    ids=lambda x: f"{x.dtype} {x[0, 0]:.3g} {x[-1, -1]:.3g}",
)
@pytest.mark.parametrize("kind", [Standardise(), Scale()], ids=lambda kind: kind.kind)
def test_features_of_any_size(kind, x):
    y = fitted(kind, x).apply(x)
    assert y.dtype == x.dtype
    unit = (x / np.abs(x).max().astype("float64")).astype("longdouble")
    if kind.kind == "scale":
        wanted = (unit - unit.min(0)) / np.ptp(unit, axis=0)
    else:
        wanted = (unit - unit.mean(0)) / unit.std(0)
    np.testing.assert_allclose(y, wanted.astype("float64"), atol=1e-6 if x.dtype == "float32" else 1e-3)


def test_many_rows_far_from_zero_are_no_constant():
    """Rounding of a million rows could be as large as this; it is not."""
    rows = np.random.default_rng(3).standard_normal((1_000_000, 1))
    y = fitted(Standardise(), 1e10 + rows, (300_000,)).apply(1e10 + rows)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)


@pytest.mark.parametrize("value", [0.1, 1e9 / 3, -1e300, 0.1 + 0.2])
@pytest.mark.parametrize("kind", [Standardise(), Scale()], ids=lambda kind: kind.kind)
def test_constants_become_zero(kind, value):
    x = np.full((1_000, 1), value)
    assert not fitted(kind, x, (1, 7, 500)).apply(x).any()


@pytest.mark.parametrize("kind", [Standardise(), Scale()], ids=lambda kind: kind.kind)
@pytest.mark.parametrize("ends", [(-1.7e308, 1.7e308), (0, 1e-320)], ids=str)
def test_what_float64_cannot_hold_is_refused_by_its_number(kind, ends):
    x = np.stack([np.ones(4), np.resize(ends, 4)], axis=1)
    with pytest.raises(InputError, match=f"{kind.kind}: feature 1 reaches from"):
        fitted(kind, x, (2,))


@pytest.mark.parametrize("scale", [1e160, 1e-200])
def test_a_training_on_such_features(scale):
    trained = [
        Trainer([{"dense": 1}], transforms=["standardise"], loss="mean_squared_error", client=THREADED)
        .fit(NOISE * factor, TARGET)
        .history_[-1]["train"]["loss"]
        for factor in (1, scale)
    ]
    assert trained[1] == pytest.approx(trained[0], rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("unit, mean", [(1, 0), (1, 1e9), (1e200, 0), (1e-200, 0), (1e3, -1e12)])
def test_predictions_in_the_units_of_such_targets(unit, mean, precision):
    y = mean + unit * TARGET.astype("float64")
    how = {"loss": "mean_squared_error", "optimizer": {"adam": 0.05}, "batch": 64, "epochs": 10}
    trained = Trainer([{"dense": 1}], targets=["standardise"], precision=precision, client=THREADED, **how)
    predicted = trained.fit(NOISE, y).predict(NOISE)
    lazy = trained.predict(da.from_array(NOISE, chunks=(200, 4)))
    assert lazy.dtype == predicted.dtype
    for numbers in (predicted, lazy.compute()):
        np.testing.assert_allclose((numbers[:, 0].astype("float64") - mean) / unit, TARGET, atol=0.1)
