"""One table drives the tests of every loss, against formulas of one number at a time."""

import math
from itertools import pairwise

import numpy as np
import pytest
from device import DeviceArray, download, upload, without

from daskpar.errors import InputError
from daskpar.nn import BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from daskpar.nn.losses import log_softmax, softmax
from daskpar.nn.registry import LOSSES

ROWS = 6
WEIGHTS = (0.5, 2.0, 1.0, 3.0)


def classes(rng, shape):
    return rng.integers(0, shape[-1], shape[:-1])


def small_classes(rng, shape):
    return classes(rng, shape).astype(np.uint8)


def probabilities(rng, shape):
    share = rng.random(shape)
    return share / share.sum(axis=-1, keepdims=True)


def float32_probabilities(rng, shape):
    return probabilities(rng, shape).astype(np.float32)


def masses(rng, shape):
    return rng.random(shape)


def numbers(rng, shape):
    return rng.standard_normal(shape)


def one_number(rng, shape):
    return rng.standard_normal(shape[0])


def integers(rng, shape):
    return rng.integers(-3, 4, shape)


def bits(rng, shape):
    return rng.integers(0, 2, shape)


def truths(rng, shape):
    return rng.integers(0, 2, shape[0]).astype(bool)


def cross_entropy(loss, z, t):
    """Sum of the loss and of the weights over rows of logits `z`, with targets `t`."""
    count = z.shape[-1]
    weights = loss.class_weights or (1.0,) * count
    total = weight_sum = 0.0
    hard = t.ndim < z.ndim
    targets = t.reshape(-1) if hard else t.reshape(-1, count)
    for row, target in zip(z.reshape(-1, count), targets, strict=True):
        norm = math.log(sum(math.exp(v) for v in row))
        goal = [float(c == target) for c in range(count)] if hard else target
        goal = [g * (1 - loss.label_smoothing) + loss.label_smoothing / count for g in goal]
        total -= sum(w * g * (v - norm) for w, g, v in zip(weights, goal, row, strict=True))
        weight_sum += weights[target] if hard else 1.0
    return total, weight_sum


def each(formula):
    """The sum over rows of the mean of `formula(output, target)` over a row's outputs."""

    def reference(loss, z, t):
        rows = zip(z.reshape(len(z), -1), t.astype(float).reshape(len(z), -1), strict=True)
        means = [sum(formula(loss, a, b) for a, b in zip(*row, strict=True)) / len(row[0]) for row in rows]
        return sum(means), float(len(z))

    return reference


def _huber(loss, a, b):
    error = abs(a - b)
    return 0.5 * error**2 if error <= loss.delta else loss.delta * (error - 0.5 * loss.delta)


binary = each(
    lambda loss, a, b: -b * math.log(1 / (1 + math.exp(-a))) - (1 - b) * math.log(1 / (1 + math.exp(a)))
)


def weighed_binary(loss, z, t):
    """The loss with the term of the positive label times its weight, or that of its output."""
    total, positive = 0.0, np.broadcast_to(np.asarray(loss.pos_weight, float), z.shape)
    for a, b, p in zip(z.ravel(), t.astype(float).ravel(), positive.ravel(), strict=True):
        total -= p * b * math.log(1 / (1 + math.exp(-a))) + (1 - b) * math.log(1 / (1 + math.exp(a)))
    return total * len(z) / z.size, float(len(z))


squared = each(lambda loss, a, b: (a - b) ** 2)
absolute = each(lambda loss, a, b: abs(a - b))
huber = each(_huber)

TABLE = [
    ("softmax", SoftmaxCrossEntropy(), (4,), classes, cross_entropy),
    ("softmax of bytes", SoftmaxCrossEntropy(), (4,), small_classes, cross_entropy),
    ("softmax of two", SoftmaxCrossEntropy(), (2,), classes, cross_entropy),
    ("softmax of a sequence", SoftmaxCrossEntropy(), (3, 4), classes, cross_entropy),
    ("softmax of probabilities", SoftmaxCrossEntropy(), (4,), probabilities, cross_entropy),
    ("softmax of float32 probabilities", SoftmaxCrossEntropy(), (4,), float32_probabilities, cross_entropy),
    ("softmax of masses", SoftmaxCrossEntropy(), (4,), masses, cross_entropy),
    ("softmax smoothed", SoftmaxCrossEntropy(0.1), (4,), classes, cross_entropy),
    ("softmax probabilities smoothed", SoftmaxCrossEntropy(0.2), (4,), probabilities, cross_entropy),
    ("softmax weighted", SoftmaxCrossEntropy(0.0, WEIGHTS), (4,), classes, cross_entropy),
    ("softmax probabilities weighted", SoftmaxCrossEntropy(0.0, WEIGHTS), (4,), probabilities, cross_entropy),
    ("softmax smoothed and weighted", SoftmaxCrossEntropy(0.1, WEIGHTS), (2, 4), classes, cross_entropy),
    ("binary", BinaryCrossEntropy(), (1,), bits, binary),
    ("binary of truths", BinaryCrossEntropy(), (1,), truths, binary),
    ("binary of probabilities", BinaryCrossEntropy(), (3,), masses, binary),
    ("binary of numbers", BinaryCrossEntropy(), (), bits, binary),
    ("binary of positives", BinaryCrossEntropy(pos_weight=2.5), (1,), bits, weighed_binary),
    ("binary of numbers, of positives", BinaryCrossEntropy(pos_weight=0.5), (), bits, weighed_binary),
    ("binary of positives each", BinaryCrossEntropy(pos_weight=(2, 0.5, 1)), (2, 3), masses, weighed_binary),
    ("squared", MeanSquaredError(), (3,), numbers, squared),
    ("squared of one number", MeanSquaredError(), (1,), one_number, squared),
    ("squared of integers", MeanSquaredError(), (2, 3), integers, squared),
    ("squared without axes", MeanSquaredError(), (), numbers, squared),
    ("absolute", MeanAbsoluteError(), (3,), numbers, absolute),
    ("absolute of one number", MeanAbsoluteError(), (1,), one_number, absolute),
    ("huber", Huber(), (3,), numbers, huber),
    ("huber narrow", Huber(0.1), (2, 2), numbers, huber),
    ("huber of integers", Huber(2.5), (1,), integers, huber),
]


@pytest.fixture(params=TABLE, ids=lambda row: row[0])
def case(request):
    """loss, outputs, targets, formula"""
    _, loss, shape, targets, formula = request.param
    rng = np.random.default_rng(4)
    return loss, 1.5 * rng.standard_normal((ROWS, *shape)), targets(rng, (ROWS, *shape)), formula


def test_every_registered_loss_is_in_the_table():
    assert set(LOSSES.values()) <= {type(loss) for _, loss, *_ in TABLE}


def test_sums_are_the_formula(case):
    loss, z, t, formula = case
    total, weights, _ = loss(z, t)
    np.testing.assert_allclose((total, weights), formula(loss, z, t), rtol=1e-7 if t.dtype == "f4" else 1e-12)


def test_gradients(case):
    loss, z, t, _ = case
    slope = loss(z, t)[2]
    expected, step = np.empty_like(z), 1e-5
    for i, value in np.ndenumerate(z.copy()):
        sides = []
        for moved in (value + step, value - step):
            z[i] = moved
            sides.append(loss(z, t)[0])
        z[i] = value
        expected[i] = (sides[0] - sides[1]) / (2 * step)
    assert np.max(np.abs(slope - expected)) / np.max(np.abs(expected)) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_floats_and_slopes_have_the_dtype_of_outputs(case, dtype):
    loss, z, t, _ = case
    total, weights, slope = loss(z.astype(dtype), t)
    assert type(total) is float and type(weights) is float
    assert slope.shape == z.shape and slope.dtype == dtype


def test_inputs_are_not_written_to(case):
    loss, z, t, _ = case
    before = z.copy(), t.copy()
    z.flags.writeable = t.flags.writeable = False
    slope = loss(z, t)[2]
    np.testing.assert_array_equal(z, before[0])
    np.testing.assert_array_equal(t, before[1])
    assert not np.shares_memory(slope, z) and not np.shares_memory(slope, t)


@pytest.mark.parametrize("cuts", [(2,), (1, 3, 4)], ids=str)
def test_chunks_add_up(case, cuts):
    loss, z, t, _ = case
    total, weights, slope = loss(z, t)
    pieces = [loss(z[a:b], t[a:b]) for a, b in pairwise((0, *cuts, ROWS))]
    np.testing.assert_allclose(sum(p[0] for p in pieces), total, rtol=1e-13)
    np.testing.assert_allclose(sum(p[1] for p in pieces), weights, rtol=1e-13)
    np.testing.assert_allclose(np.concatenate([p[2] for p in pieces]), slope, rtol=1e-13, atol=1e-15)


@pytest.mark.usefixtures("reference_kernels")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_stay_on_their_device_in_their_dtype(case, dtype):
    loss, z, t, _ = case
    z = z.astype(dtype)
    outputs, targets = upload(z), upload(t)
    with without(*{np.float32, np.float64} - {dtype}):
        total, weights, slope = loss(outputs, targets)
    assert isinstance(slope, DeviceArray)
    assert (total, weights) == loss(z, t)[:2]
    np.testing.assert_array_equal(download(slope), loss(z, t)[2])
    for read in (loss.activate, loss.decide):
        np.testing.assert_array_equal(download(read(upload(z))), read(z))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_outputs_overflow_nowhere(case, dtype):
    loss, z, t, _ = case
    total, _, slope = loss((z * 1e4).astype(dtype), t)
    assert math.isfinite(total) and np.isfinite(slope).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_one_change_no_bit(case, dtype):
    loss, z, t, _ = case
    found, expected = loss.weighted(z.astype(dtype), t, np.ones(ROWS, dtype)), loss(z.astype(dtype), t)
    assert found[:2] == expected[:2]
    np.testing.assert_array_equal(found[2], expected[2])


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_whole_weights_are_rows_that_occur_as_often(case, dtype, tolerance):
    loss, z, t, _ = case
    z, times = z.astype(dtype), np.array([2, 0, 1, 3, 1, 0])
    rows = np.repeat(np.arange(ROWS), times)
    total, weights, slope = loss.weighted(z, t, times.astype(dtype))
    expected = loss(z[rows], t[rows])
    np.testing.assert_allclose((total, weights), expected[:2], rtol=tolerance)
    each = loss(z, t)[2] * times.reshape(-1, *(1,) * (z.ndim - 1))
    assert slope.dtype == dtype
    np.testing.assert_allclose(slope, each, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("reference_kernels")
def test_weights_stay_on_their_device(case):
    loss, z, t, _ = case
    weights = np.array([2.0, 0, 1, 3, 0.5, 0])
    found = loss.weighted(upload(z), upload(t), upload(weights))
    expected = loss.weighted(z, t, weights)
    assert found[:2] == expected[:2]
    np.testing.assert_array_equal(download(found[2]), expected[2])


def test_pos_weight_of_one_is_none():
    z, t = 30 * np.random.default_rng(1).standard_normal((9, 3)), np.eye(3)[np.arange(9) % 3]
    for found, expected in zip(
        BinaryCrossEntropy(pos_weight=1)(z, t), BinaryCrossEntropy()(z, t), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("weight", [0, -1.0, (1, 0), ()], ids=str)
def test_pos_weight_that_is_none_is_refused(weight):
    with pytest.raises(InputError, match=r"pos_weight=.* (must be above zero|is empty)"):
        BinaryCrossEntropy(pos_weight=weight)


def test_pos_weights_are_as_many_as_outputs():
    with pytest.raises(InputError, match="pos_weight has 2 values for 3 outputs"):
        BinaryCrossEntropy(pos_weight=(1, 2)).check((3,), (3,), "f4")


def test_kinks_have_a_derivative():
    z = np.array([[1.0, 2.0, 3.0]])
    assert MeanAbsoluteError()(z, z)[2].tolist() == [[0, 0, 0]]
    assert MeanAbsoluteError()(z, z[:, ::-1])[2].tolist() == [[-1 / 3, 0, 1 / 3]]


def test_softmax_is_its_formula():
    z = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_allclose(softmax(z), np.exp(z) / np.exp(z).sum(-1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(np.exp(log_softmax(z + 1e4)), softmax(z), rtol=1e-10)


Z = np.array([[0.0, 2.0], [3.0, 1.0]])
READINGS = [
    (SoftmaxCrossEntropy(), Z, [[0.1192029220, 0.8807970780], [0.8807970780, 0.1192029220]], [1, 0]),
    (BinaryCrossEntropy(), Z[:, 1:] - 1.5, [[0.6224593312], [0.3775406688]], [[1], [0]]),
    (MeanSquaredError(), Z, Z, Z),
    (MeanAbsoluteError(), Z, Z, Z),
    (Huber(), Z, Z, Z),
]


@pytest.mark.parametrize("loss, outputs, read, decided", READINGS, ids=lambda v: getattr(v, "kind", ""))
def test_what_a_person_reads(loss, outputs, read, decided):
    np.testing.assert_allclose(loss.activate(outputs), read, rtol=1e-9)
    np.testing.assert_array_equal(loss.decide(outputs), decided)
    assert (loss.task != "numbers") == (loss.activate(outputs) is not outputs)


REFUSED = [
    (SoftmaxCrossEntropy(), (1,), (), "i8", "softmax_cross_entropy: the model returns (1,) per example"),
    (SoftmaxCrossEntropy(), (), (), "i8", "the model returns () per example; expected one output a class"),
    (SoftmaxCrossEntropy(), (4,), (4,), "i8", "targets of shape (4,) per example do not fit outputs (4,); "
     "expected classes of shape ()"),
    (SoftmaxCrossEntropy(), (3, 4), (), "u1", "expected classes of shape (3,)"),
    (SoftmaxCrossEntropy(), (4,), (), "f4", "targets are float32 of shape () per example; expected integer "
     "classes, or probabilities of shape (4,)"),
    (SoftmaxCrossEntropy(), (4,), (5,), "f8", "expected integer classes, or probabilities of shape (4,)"),
    (SoftmaxCrossEntropy(0, (1, 2)), (4,), (), "i8", "class_weights has 2 values for 4 classes"),
    (MeanSquaredError(), (3,), (), "f4", "mean_squared_error: the model returns (3,) per example, the "
     "targets hold a number; they must have one shape"),
    (MeanAbsoluteError(), (), (2,), "f4", "mean_absolute_error: the model returns a number per example, the "
     "targets hold (2,); they must have one shape"),
    (BinaryCrossEntropy(), (3,), (1,), "i8", "binary_cross_entropy: the model returns (3,) per example"),
    (Huber(), (2,), (3,), "f4", "huber: the model returns (2,) per example, the targets hold (3,)"),
]  # fmt: skip


@pytest.mark.parametrize("loss, outputs, targets, dtype, message", REFUSED, ids=[row[-1] for row in REFUSED])
def test_refuses_targets_that_do_not_fit(loss, outputs, targets, dtype, message):
    with pytest.raises(InputError) as caught:
        loss.check(outputs, targets, dtype)
    assert message in str(caught.value)


def test_accepts_targets_that_fit(case):
    loss, z, t, _ = case
    loss.check(z.shape[1:], t.shape[1:], t.dtype)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SoftmaxCrossEntropy(1.0), "label_smoothing=1.0 must be at least 0 and below 1"),
        (lambda: SoftmaxCrossEntropy(-0.1), "label_smoothing=-0.1 must be at least 0 and below 1"),
        (lambda: Huber(0.0), "huber.delta=0.0 must be above zero"),
    ],
)
def test_refuses_hyper_parameters(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
