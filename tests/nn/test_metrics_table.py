"""Metrics against scikit-learn, and their sums over chunks."""

import math

import numpy as np
import pytest
from device import upload
from sklearn import metrics as sklearn

from daskpar.errors import InputError
from daskpar.nn import (
    R2,
    RMSE,
    Accuracy,
    BinaryCrossEntropy,
    Confusion,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    TopK,
)
from daskpar.nn.registry import METRICS

RNG = np.random.default_rng(2)
ROWS = 200
SCORES = RNG.standard_normal((ROWS, 6))
CLASSES = RNG.integers(0, 6, ROWS)
ONE_HOT = np.eye(6)[CLASSES]
LOGIT = RNG.standard_normal((ROWS, 1))
BITS = RNG.integers(0, 2, ROWS)
NUMBERS = RNG.standard_normal((ROWS, 3))
GUESSES = NUMBERS + 0.5 * RNG.standard_normal((ROWS, 3))
BYTES = RNG.integers(0, 256, (ROWS, 1), dtype=np.uint8)
NEAR_BYTES = BYTES + RNG.standard_normal((ROWS, 1)).astype(np.float32)
FAR = (4000 + RNG.standard_normal((ROWS, 1))).astype(np.float32)
NEAR_FAR = FAR + np.float32(0.5) * RNG.standard_normal((ROWS, 1)).astype(np.float32)
VERY_FAR = FAR * 250 + np.float32(0.5) * RNG.standard_normal((ROWS, 1)).astype(np.float32)
LABELS = RNG.integers(0, 2, (ROWS, 6))
SOFTMAX, BINARY, SQUARED = SoftmaxCrossEntropy(), BinaryCrossEntropy(), MeanSquaredError()
SEQUENCES = SCORES.reshape(50, 4, 6), CLASSES.reshape(50, 4)


def accuracy(z, t):
    return sklearn.accuracy_score(t.ravel(), z.reshape(t.size, -1).argmax(-1))


def one_hot_accuracy(z, t):
    return sklearn.accuracy_score(t.argmax(-1), z.argmax(-1))


def binary_accuracy(z, t):
    return sklearn.accuracy_score(t.ravel(), z.ravel() > 0)


def exact_accuracy(z, t):
    return sklearn.accuracy_score(t, z > 0)  # of label indicators: the subset accuracy


def exact_sequences(z, t):
    return (z.argmax(-1) == t).all(axis=1).mean()


def top(k):
    return lambda z, t: sklearn.top_k_accuracy_score(
        t.ravel(), z.reshape(t.size, -1), k=k, labels=range(z.shape[-1])
    )


def rmse(z, t):
    return sklearn.root_mean_squared_error(t.ravel(), z.ravel())


def r2(z, t):
    return sklearn.r2_score(t.ravel().astype(float), z.ravel().astype(float))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def confusion(z, t):
    return sklearn.confusion_matrix(t.ravel(), z.reshape(t.size, -1).argmax(-1), labels=range(6)).tolist()


def one_hot_confusion(z, t):
    return confusion(z, t.argmax(-1))


def binary_confusion(z, t):
    return sklearn.confusion_matrix(t.ravel(), z.ravel() > 0).tolist()


TABLE = [
    ("accuracy", Accuracy(), SOFTMAX, SCORES, CLASSES, accuracy),
    ("accuracy of bytes", Accuracy(), SOFTMAX, SCORES, CLASSES.astype(np.uint8), accuracy),
    ("accuracy of one-hot", Accuracy(), SOFTMAX, SCORES, ONE_HOT, one_hot_accuracy),
    ("accuracy of sequences", Accuracy(), SOFTMAX, *SEQUENCES, accuracy),
    ("accuracy of one output", Accuracy(), BINARY, LOGIT, BITS, binary_accuracy),
    ("accuracy of truths", Accuracy(), BINARY, LOGIT, BITS.astype(bool)[:, None], binary_accuracy),
    ("accuracy of numbers", Accuracy(), BINARY, LOGIT[:, 0], BITS, binary_accuracy),
    ("accuracy of labels", Accuracy(), BINARY, SCORES, LABELS, binary_accuracy),
    (
        "exact accuracy of labels",
        Accuracy(exact=True),
        BINARY,
        9 * LABELS - 8 + SCORES,
        LABELS,
        exact_accuracy,
    ),
    ("exact accuracy of sequences", Accuracy(exact=True), SOFTMAX, *SEQUENCES, exact_sequences),
    ("top 1", TopK(1), SOFTMAX, SCORES, CLASSES, top(1)),
    ("top 3", TopK(3), SOFTMAX, SCORES, CLASSES, top(3)),
    ("top 3 of one-hot", TopK(3), SOFTMAX, SCORES, ONE_HOT, lambda z, t: top(3)(z, t.argmax(-1))),
    ("top 2 of sequences", TopK(2), SOFTMAX, *SEQUENCES, top(2)),
    ("rmse", RMSE(), SQUARED, GUESSES, NUMBERS, rmse),
    ("rmse of one number", RMSE(), SQUARED, GUESSES[:, :1], NUMBERS[:, 0], rmse),
    ("rmse of bytes", RMSE(), SQUARED, NEAR_BYTES, BYTES, rmse),
    ("rmse of probabilities", RMSE(), SOFTMAX, SCORES, ONE_HOT, lambda z, t: rmse(softmax(z), t)),
    ("rmse of labels", RMSE(), BINARY, SCORES, LABELS, lambda z, t: rmse(sigmoid(z), t)),
    ("r2", R2(), SQUARED, GUESSES, NUMBERS, r2),
    ("r2 of one number", R2(), SQUARED, GUESSES[:, :1], NUMBERS[:, 0], r2),
    ("r2 of bytes", R2(), SQUARED, NEAR_BYTES, BYTES, r2),
    ("r2 far from zero", R2(), SQUARED, NEAR_FAR, FAR, r2),
    ("r2 very far from zero", R2(), SQUARED, VERY_FAR, FAR * 250, r2),
    ("r2 of probabilities", R2(), SOFTMAX, SCORES, ONE_HOT, lambda z, t: r2(softmax(z), t)),
    ("r2 of labels", R2(), BINARY, SCORES, LABELS, lambda z, t: r2(sigmoid(z), t)),
    ("confusion", Confusion(), SOFTMAX, SCORES, CLASSES, confusion),
    ("confusion of one-hot", Confusion(), SOFTMAX, SCORES, ONE_HOT, one_hot_confusion),
    ("confusion of sequences", Confusion(), SOFTMAX, *SEQUENCES, confusion),
    ("confusion of one output", Confusion(), BINARY, LOGIT, BITS, binary_confusion),
    ("confusion of numbers", Confusion(), BINARY, LOGIT[:, 0], BITS.astype(float), binary_confusion),
]


@pytest.fixture(params=TABLE, ids=lambda row: row[0])
def case(request):
    """metric, loss, outputs, targets, reference"""
    return request.param[1:]


def test_every_registered_metric_is_in_the_table():
    assert set(METRICS.values()) == {type(metric) for _, metric, *_ in TABLE}


def test_value_is_scikit_learns(case):
    metric, loss, z, t, reference = case
    np.testing.assert_allclose(metric.value(metric.sums(z, t, loss)), reference(z, t), rtol=1e-6)


def test_sums_are_floats_as_many_as_said(case):
    metric, loss, z, t, _ = case
    sums = metric.sums(z, t, loss)
    assert len(sums) == metric.width(z.shape[-1] if z.ndim > 1 else 1)
    assert all(type(s) is float for s in sums)


def test_chunks_add_up(case):
    metric, loss, z, t, _ = case
    cuts = [1, 7, 30]
    pieces = [metric.sums(a, b, loss) for a, b in zip(np.split(z, cuts), np.split(t, cuts), strict=True)]
    total = [sum(column) for column in zip(*pieces, strict=True)]
    whole = metric.sums(z, t, loss)
    np.testing.assert_allclose(metric.value(total), metric.value(whole), rtol=1e-12)
    if not isinstance(metric, R2):  # pairs of floats, which are not the same whatever the chunks
        np.testing.assert_allclose(total, whole, rtol=1e-12)


def test_inputs_are_not_written_to(case):
    metric, loss, z, t, _ = case
    before = z.copy(), t.copy()
    z, t = z.copy(), t.copy()
    z.flags.writeable = t.flags.writeable = False
    metric.sums(z, t, loss)
    np.testing.assert_array_equal(z, before[0])
    np.testing.assert_array_equal(t, before[1])


def test_the_same_on_a_device(case):
    metric, loss, z, t, _ = case
    assert metric.sums(upload(z), upload(t), loss) == metric.sums(z, t, loss)


@pytest.mark.parametrize("metric", [Accuracy(), TopK(), RMSE(), R2()], ids=lambda m: m.kind)
def test_nothing_has_no_value(metric):
    assert math.isnan(metric.value((0.0,) * metric.width(3)))


def test_r2_of_equal_targets_has_no_value():
    assert math.isnan(R2().value(R2().sums(LOGIT, np.ones((ROWS, 1)), SQUARED)))


def test_top_k_ties_count_and_nan_does_not():
    outputs = np.array([[1.0, 1.0, 1.0], [np.nan, np.nan, np.nan], [0.0, 2.0, 1.0]])
    assert TopK(1).sums(outputs, np.array([2, 0, 1]), SOFTMAX) == (2.0, 3.0)


@pytest.mark.parametrize("shape", [(3, 1), (3, 2), (3,)], ids=str)
def test_nan_is_no_right_label(shape):
    outputs = np.full(shape, np.nan)
    assert Accuracy().sums(outputs, np.zeros(shape), BINARY)[0] == 0
    assert sum(Confusion().sums(outputs, np.zeros(shape), BINARY)) == 0


def test_nan_is_no_right_class():
    outputs, classes = np.array([[np.nan, 1.0], [2.0, np.nan], [0.0, 1.0]]), np.array([0, 1, 1])
    assert Accuracy().sums(outputs, classes, SOFTMAX) == (1.0, 3.0)
    assert Confusion().sums(outputs, classes, SOFTMAX) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "metric, name, larger",
    [
        (Accuracy(), "accuracy", True),
        (Accuracy(exact=True), "exact_accuracy", True),
        (TopK(3), "top_3", True),
        (RMSE(), "rmse", False),
        (R2(), "r2", True),
        (Confusion(), "confusion", True),
    ],
)
def test_names(metric, name, larger):
    assert (metric.name, metric.larger_is_better) == (name, larger)


def test_refuses_k_below_one():
    with pytest.raises(InputError, match=r"^top_k\.k=0 must be above zero$"):
        TopK(0)
