"""Norms and pooling by their formulas; running statistics and masks of batch normalisation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from device import download, upload

from daskpar.errors import InputError
from daskpar.nn import Context, Dropout
from daskpar.nn.layers.batch_norm import BatchNorm
from daskpar.nn.layers.global_pool import GlobalAvgPool
from daskpar.nn.layers.group_norm import GroupNorm
from daskpar.nn.layers.pad import Crop, Pad
from daskpar.nn.layers.rms_norm import RMSNorm
from daskpar.nn.layers.spatial_dropout import SpatialDropout
from daskpar.nn.moments import combine

TRAINING = Context(training=True)
RUNNING = ("running_mean", "running_variance", "running_batches")
SHAPES = [(5,), (4, 3), (3, 2, 4)]


def start(layer, shape, seed=0):
    """Parameters of a run under way, float64."""
    rng = np.random.default_rng(seed)
    params, _ = layer.init(rng, shape)
    return {name: p + rng.uniform(0.1, 0.5, p.shape) for name, p in params.items()}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def half_masked(rows, positions):
    """True up to another length in each row, from none to all."""
    return np.arange(positions) < np.arange(rows)[:, None] % (positions + 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_is_its_formula(shape):
    params, x = start(BatchNorm(), shape), 3 + 2 * normal(1, 6, *shape)
    values = x.reshape(-1, shape[-1])
    scaled = (x - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
    y, _ = BatchNorm().forward(params, x, TRAINING)
    np.testing.assert_allclose(y, scaled * params["scale"] + params["shift"], rtol=1e-12, atol=1e-12)
    plain, _ = BatchNorm(scale=False, shift=False).forward(params, x, TRAINING)
    np.testing.assert_allclose(plain, scaled, rtol=1e-12, atol=1e-12)

    y, _ = BatchNorm(epsilon=0.1).forward(params, x, Context())
    expected = (x - params["running_mean"]) / np.sqrt(params["running_variance"] + 0.1)
    np.testing.assert_allclose(y, expected * params["scale"] + params["shift"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cuts", [(), (5,), (1, 2, 6)], ids=str)
def test_running_statistics_are_those_of_a_plain_loop_for_any_cut(shape, cuts):
    """Shares of the newest batch: 1 − momentum; variance n / (n − 1)."""
    layer, rng = BatchNorm(momentum=0.8), np.random.default_rng(2)
    params, _ = layer.init(rng, shape)
    mean, variance = np.zeros(shape[-1]), np.ones(shape[-1])
    for step in range(4):
        x = 5 + rng.standard_normal((9, *shape)) * (step + 1)
        total = dict.fromkeys(RUNNING, 0.0)
        for piece in np.split(x, cuts):
            y, saved = layer.forward(params, piece, TRAINING)
            _, grads = layer.backward(params, saved, np.ones_like(y), TRAINING)
            total = {name: total[name] + grads[name] for name in RUNNING}
        values = x.reshape(-1, shape[-1])
        np.testing.assert_allclose(total["running_batches"], [len(values)], rtol=1e-14)
        centre = params["running_mean"] / (1 - 0.8**step) if step else 0.0  # of the batches so far
        np.testing.assert_allclose(total["running_mean"], (values - centre).sum(0), rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(total["running_variance"], ((values - centre) ** 2).sum(0), rtol=1e-12)
        params |= layer.observe(params, total)
        mean = 0.8 * mean + 0.2 * values.mean(0)
        variance = 0.8 * variance + 0.2 * values.var(0, ddof=1)
    np.testing.assert_allclose(params["running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(params["running_variance"], variance, rtol=1e-12)
    assert params["running_batches"].tolist() == [4.0]


def test_running_statistics_stay_where_nothing_counts():
    layer = BatchNorm()
    params = start(layer, (3,))
    after = layer.observe(params, {name: np.zeros_like(params[name]) for name in RUNNING})
    assert after.keys() == set(RUNNING)
    for name in RUNNING:
        np.testing.assert_array_equal(after[name], params[name])


def test_a_single_value_leaves_a_finite_running_variance():
    layer = BatchNorm()
    params = start(layer, (3,))
    sums = {"running_mean": np.ones(3), "running_variance": np.ones(3), "running_batches": np.ones(1)}
    np.testing.assert_allclose(
        layer.observe(params, sums)["running_variance"], 0.9 * params["running_variance"]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_observing_keeps_dtype_and_device_and_writes_to_nothing(dtype):
    layer = BatchNorm()
    params = {name: p.astype(dtype) for name, p in start(layer, (3,)).items()}
    sums = {name: 4 * np.ones_like(params[name]) for name in RUNNING}
    for array in (*params.values(), *sums.values()):
        array.flags.writeable = False
    after = layer.observe(params, sums)
    there = download(layer.observe(upload(params), upload(sums)))
    for name in RUNNING:
        assert after[name].dtype == dtype and after[name].shape == params[name].shape
        np.testing.assert_array_equal(there[name], after[name])


def test_running_statistics_do_not_train():
    layer, x = BatchNorm(), normal(3, 6, 4)
    params = start(layer, (4,))
    _, saved = layer.forward(params, x, Context())
    _, grads = layer.backward(params, saved, x, Context())
    assert not any(grads[name].any() for name in RUNNING)
    assert grads["scale"].all() and grads["shift"].all()


@pytest.mark.parametrize("mean", [0, 30, 3000])
def test_shifted_sums_do_not_cancel_in_float32(mean):
    layer, x = BatchNorm(), (mean + normal(4, 4096, 3)).astype(np.float32)
    params = {name: p.astype(np.float32) for name, p in layer.init(np.random.default_rng(0), (3,))[0].items()}
    params["running_mean"] += mean + 1  # about where it is, as after a few batches
    _, squares, count = layer.gather(params, x, TRAINING)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(squares / count, exact.var(0), rtol=1e-5)
    y, _ = layer.forward(params, x, TRAINING)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-5 + mean * 2e-7)


CHUNKED = [(shape, cut, masked) for shape in SHAPES for cut in [(4,), (1, 3, 8)] for masked in (0, 1)]


@pytest.mark.parametrize("shape, cuts, masked", [c for c in CHUNKED if not c[2] or len(c[0]) == 2], ids=str)
def test_sums_added_over_chunks_give_the_uncut_run(shape, cuts, masked):
    layer = BatchNorm(sync=True)
    params, x, dy = start(layer, shape), 2 + normal(5, 9, *shape), normal(6, 9, *shape)
    mask = half_masked(9, shape[0]) if masked else None
    whole = TRAINING.masked(mask)
    y, saved = layer.forward(params, x, whole)
    dx, grads = layer.backward(params, saved, dy, whole)

    ctxs = [TRAINING.masked(m) for m in (np.split(mask, cuts) if masked else [None] * (len(cuts) + 1))]
    xs, dys = np.split(x, cuts), np.split(dy, cuts)
    sums = combine(*(layer.gather(params, a, ctx) for a, ctx in zip(xs, ctxs, strict=True)))
    passes = [layer.forward_with(params, a, sums, ctx) for a, ctx in zip(xs, ctxs, strict=True)]
    pairs = list(zip((s for _, s in passes), dys, strict=True))
    d_sums = sum(layer.gather_backward(params, s, d, TRAINING) for s, d in pairs)
    backs = [layer.backward_with(params, s, d, d_sums, TRAINING) for s, d in pairs]
    np.testing.assert_allclose(np.concatenate([p[0] for p in passes]), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([b[0] for b in backs]), dx, rtol=1e-12, atol=1e-12)
    for name, gradient in grads.items():
        np.testing.assert_allclose(sum(b[1][name] for b in backs), gradient, rtol=1e-12, atol=1e-12)
    assert not np.allclose(layer.forward(params, xs[0], ctxs[0])[0], passes[0][0])


def test_backward_needs_no_mask_of_its_own():
    layer, x = BatchNorm(), normal(7, 6, 4, 2)
    params, ctx = start(layer, (4, 2)), TRAINING.masked(half_masked(6, 4))
    _, saved = layer.forward(params, x, ctx)
    one, other = (layer.backward(params, saved, x, c)[0] for c in (ctx, TRAINING))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", [BatchNorm(), GroupNorm(2), GlobalAvgPool()], ids=lambda v: v.kind)
def test_masked_positions_do_not_count(layer):
    """What they hold changes nothing elsewhere, and gradients are those of the formula with the mask."""
    mask = half_masked(6, 3)
    params = start(layer, (3, 4)) if layer.kind != "global_avg_pool" else {}
    x, ctx = normal(8, 6, 3, 4), TRAINING.masked(mask)
    y, saved = layer.forward(params, x, ctx)
    dy = normal(9, *y.shape)
    dx, grads = layer.backward(params, saved, dy, TRAINING)
    noisy = np.where(mask[..., None], x, x + 100 * normal(10, *x.shape))
    again, kept = layer.forward(params, noisy, ctx)
    if y.ndim == 3:
        y, again = y[mask], again[mask]
    np.testing.assert_allclose(again, y, rtol=1e-12, atol=1e-12)
    if "running_mean" in grads:
        _, noisy_grads = layer.backward(params, kept, dy, TRAINING)
        for name in RUNNING:
            np.testing.assert_allclose(noisy_grads[name], grads[name], rtol=1e-12)

    for place in [(1, 0, 2), (2, 1, 0), (0, 0, 0), (2, 2, 3), (3, 2, 1)]:
        sides = []
        for step in (1e-5, -1e-5):
            moved = x.copy()
            moved[place] += step
            sides.append(np.sum(layer.forward(params, moved, ctx)[0] * dy))
        assert abs((sides[0] - sides[1]) / 2e-5 - dx[place]) < 1e-6 * max(1, abs(dx[place]))


def test_statistics_with_a_mask_are_those_of_the_positions_that_it_has():
    x, mask = 2 + normal(16, 7, 3, 4), half_masked(7, 3)
    params, ctx = start(BatchNorm(), (3, 4)), TRAINING.masked(mask)
    y, saved = BatchNorm().forward(params, x, ctx)
    expected, listed = BatchNorm().forward(params, x[mask], TRAINING)
    np.testing.assert_allclose(y[mask], expected, rtol=1e-12, atol=1e-12)
    _, grads = BatchNorm().backward(params, saved, y, TRAINING)
    _, others = BatchNorm().backward(params, listed, expected, TRAINING)
    for name in RUNNING:
        np.testing.assert_allclose(grads[name], others[name], rtol=1e-12)

    y, _ = GroupNorm(2).forward(params, x, ctx)
    for row in range(7):
        there = x[row : row + 1, mask[row]]
        if there.size:
            expected, _ = GroupNorm(2).forward(params, there, TRAINING)
            np.testing.assert_allclose(y[row, mask[row]], expected[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layer", [BatchNorm(), GroupNorm(2), GlobalAvgPool()], ids=lambda v: v.kind)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_keep_dtype_and_device(layer, dtype):
    params = {name: p.astype(dtype) for name, p in layer.init(np.random.default_rng(0), (3, 4))[0].items()}
    x, mask = normal(11, 5, 3, 4).astype(dtype), half_masked(5, 3)

    def run(params, x, mask):
        y, saved = layer.forward(params, x, TRAINING.masked(mask))
        return (y, *layer.backward(params, saved, y, TRAINING))

    here, there = run(params, x, mask), download(run(upload(params), upload(x), upload(mask)))
    for a, b in zip((*here[:2], *here[2].values()), (*there[:2], *there[2].values()), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)


def test_masked_rows_alone_stay_finite():
    nothing = np.zeros((2, 3), bool)
    for layer in (BatchNorm(), GroupNorm(2), GlobalAvgPool()):
        params = layer.init(np.random.default_rng(0), (3, 4))[0]
        y, saved = layer.forward(params, normal(12, 2, 3, 4), TRAINING.masked(nothing))
        dx, _ = layer.backward(params, saved, y, TRAINING)
        assert np.isfinite(y).all() and np.isfinite(dx).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(6,), (4, 6), (3, 2, 6)], ids=str)
def test_group_norm_is_its_formula(groups, shape):
    layer, x = GroupNorm(groups, epsilon=0.01), 3 + normal(13, 5, *shape)
    params = start(layer, shape)
    y, _ = layer.forward(params, x, TRAINING)
    for row in range(5):
        for group in np.split(np.arange(6), groups):
            values = x[row, ..., group]
            expected = (values - values.mean()) / math.sqrt(values.var() + 0.01)
            scale, shift = (
                params[n][group].reshape(-1, *(1,) * (len(shape) - 1)) for n in ("scale", "shift")
            )
            np.testing.assert_allclose(y[row, ..., group], expected * scale + shift, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rms_norm_is_its_formula(shape):
    layer, x = RMSNorm(epsilon=0.01), 3 + normal(14, 5, *shape)
    params = start(layer, shape)
    y, _ = layer.forward(params, x, TRAINING)
    for place in np.ndindex(x.shape[:-1]):
        mean = sum(v * v for v in x[place]) / shape[-1]
        np.testing.assert_allclose(y[place], x[place] / math.sqrt(mean + 0.01) * params["scale"], rtol=1e-12)


def test_global_average_is_the_mean_of_what_the_mask_has():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    assert GlobalAvgPool().forward({}, x, Context())[0].tolist() == [[5.0, 6.0]]
    x, mask = np.arange(12.0).reshape(2, 3, 2), np.array([[True, True, False], [False, False, False]])
    ctx = Context(mask=mask)
    y, saved, after = GlobalAvgPool().run({}, x, ctx)
    assert y.tolist() == [[1.0, 2.0], [0.0, 0.0]] and after is None
    dx, _ = GlobalAvgPool().backward({}, saved, np.ones((2, 2)), Context())
    assert dx[:, :, 0].tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


def test_pad_and_crop_put_zeros_around_and_take_edges_away():
    x = np.array([[[[1.0], [2.0]]]])
    y, _ = Pad((0, 1), (2, 1)).forward({}, x, Context())
    assert y[0, :, :, 0].tolist() == [[0, 0, 1, 2, 0], [0, 0, 0, 0, 0]]
    assert Crop((0, 1), (2, 1)).forward({}, y, Context())[0].tolist() == x.tolist()
    assert Pad(1, [0, 2]) == Pad((1, 1), (0, 2))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(3, 2, 400), (5, 400)], ids=str)
def test_spatial_dropout_drops_whole_channels(rate, shape):
    y, _ = SpatialDropout(rate).forward({}, np.ones((200, *shape)), replace(TRAINING, seed=1))
    assert (y == y.reshape(200, -1, 400)[:, :1].reshape(200, *(1,) * (len(shape) - 1), 400)).all()
    dropped = np.mean(y == 0)
    assert abs(dropped - rate) < 5 * math.sqrt(rate * (1 - rate) / (200 * 400))
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=2e-4)


def test_spatial_dropout_of_one_pixel_is_dropout():
    x, ctx = normal(15, 6, 1, 1, 40), Context(True, 1, 2, 3, (4,))
    one, other = (layer.forward({}, x, ctx)[0] for layer in (SpatialDropout(0.3), Dropout(0.3)))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}, {"path": (1,)}, {"row": 20}], ids=str)
def test_spatial_dropout_of_another_pass_is_another_mask(change):
    x = np.ones((20, 2, 30))
    one, other = (SpatialDropout(0.5).forward({}, x, c)[0] for c in (TRAINING, replace(TRAINING, **change)))
    assert 0.4 < np.mean(one == other) < 0.6


def init(layer, shape):
    return lambda: layer.init(np.random.default_rng(0), shape)


REFUSED = [
    (lambda: BatchNorm(momentum=1.0), "batch_norm.momentum=1.0 must be at least 0 and below 1"),
    (lambda: BatchNorm(epsilon=0), "batch_norm.epsilon=0 must be above zero"),
    (lambda: GroupNorm(0), "group_norm.groups=0 must be above zero"),
    (lambda: RMSNorm(-1.0), "rms_norm.epsilon=-1.0 must be above zero"),
    (lambda: SpatialDropout(1.0), "spatial_dropout.rate=1.0 must be at least 0 and below 1"),
    (lambda: Pad(-1, 0), "pad.rows=-1 must be a number or (before, after), at least 0"),
    (lambda: Crop(0, (1, 2, 3)), "crop.columns=(1, 2, 3) must be a number or (before, after), at least 0"),
    (
        init(BatchNorm(), ()),
        "batch_norm: expected examples of one axis or more, got shape (); put a dense before it",
    ),
    (
        init(GroupNorm(4), (3, 3, 6)),
        "group_norm.groups=4 does not divide the 6 channels of shape (3, 3, 6); use one of 1, 2, 3, 6",
    ),
    (
        init(GlobalAvgPool(), (3,)),
        "global_avg_pool: expected images (height, width, channels) or sequences (positions, features), got "
        "shape (3,); leave it out, or put it before a flatten",
    ),
    (
        init(SpatialDropout(0.5), (3,)),
        "spatial_dropout: expected images or sequences, got shape (3,); use dropout instead",
    ),
    (
        init(Pad(1, 1), (28, 28)),
        "pad: expected images (height, width, channels), got shape (28, 28); put it before a flatten, and "
        "give images of one colour a channel axis of length 1",
    ),
    (
        init(Crop(1, (2, 1)), (4, 3, 1)),
        "crop: rows=(1, 1) and columns=(2, 1) leave nothing of shape (4, 3, 1); crop less",
    ),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
