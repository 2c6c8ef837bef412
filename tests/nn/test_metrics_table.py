"""Metrics against scikit-learn, and their sums over chunks."""

import math

import numpy as np
import pytest
from device import upload
from sklearn import metrics as sklearn

from daskpar.errors import InputError
from daskpar.nn import (
    AUC,
    F1,
    R2,
    RMSE,
    Accuracy,
    BinaryCrossEntropy,
    Confusion,
    LogLoss,
    MeanSquaredError,
    Perplexity,
    Precision,
    Recall,
    SoftmaxCrossEntropy,
    TopK,
)
from daskpar.nn.metrics import Metric
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


def repeated(weights, t):
    """Weights of rows as those of all their positions, as scikit-learn takes them."""
    return {} if weights is None else {"sample_weight": np.repeat(weights, t.size // len(t))}


def log_loss(z, t, weights=None):
    return sklearn.log_loss(t.ravel(), softmax(z).reshape(t.size, -1), **repeated(weights, t))


def binary_log_loss(z, t, weights=None):
    return sklearn.log_loss(t.ravel(), sigmoid(z).ravel(), **repeated(weights, t))


def counted(function, average, classes=True):
    def reference(z, t, weights=None):
        answers = z.argmax(-1) if classes else (z > 0).reshape(t.shape)
        if classes:
            options = repeated(weights, t)
            return function(t.ravel(), answers.ravel(), average=average, zero_division=0, **options)
        return function(t, answers, average=average, zero_division=0, sample_weight=weights)

    return reference


SCORED = [
    (F1, sklearn.f1_score),
    (Precision, sklearn.precision_score),
    (Recall, sklearn.recall_score),
]
FEW = np.where(CLASSES == 4, 0, CLASSES)  # a class does not occur, and another is never predicted
NEVER = SCORES - 9.0 * (np.arange(6) == 2)
COUNTED = [
    (
        f"{kind.kind} {average} of {what}",
        kind(average),
        loss,
        z,
        t,
        counted(function, average, loss is SOFTMAX),
    )
    for kind, function in SCORED
    for what, loss, z, t, averages in (
        ("classes", SOFTMAX, SCORES, CLASSES, ("macro", "micro", "weighted")),
        ("few classes", SOFTMAX, NEVER, FEW, ("macro", "micro", "weighted")),
        ("sequences", SOFTMAX, *SEQUENCES, ("macro",)),
        ("labels", BINARY, SCORES, LABELS, ("macro", "micro", "weighted")),
        ("rare labels", BINARY, SCORES - 9.0 * (np.arange(6) < 2), LABELS * (np.arange(6) > 1), ("macro",)),
        ("two classes", SOFTMAX, SCORES[:, :2], BITS, ("binary", "macro")),
        ("one output", BINARY, LOGIT, BITS, ("binary",)),
        ("numbers", BINARY, LOGIT[:, 0], BITS, ("binary",)),
    )
    for average in averages
]
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
    *COUNTED,
    ("log loss", LogLoss(), SOFTMAX, SCORES, CLASSES, log_loss),
    (
        "log loss of one-hot",
        LogLoss(),
        SOFTMAX,
        SCORES,
        ONE_HOT,
        lambda z, t, **w: log_loss(z, t.argmax(-1), **w),
    ),
    ("log loss of sequences", LogLoss(), SOFTMAX, *SEQUENCES, log_loss),
    ("log loss of one output", LogLoss(), BINARY, LOGIT, BITS, binary_log_loss),
    ("log loss of numbers", LogLoss(), BINARY, LOGIT[:, 0], BITS, binary_log_loss),
    ("log loss of labels", LogLoss(), BINARY, SCORES, LABELS, binary_log_loss),
    ("perplexity", Perplexity(), SOFTMAX, SCORES, CLASSES, lambda z, t, **w: np.exp(log_loss(z, t, **w))),
    (
        "perplexity of sequences",
        Perplexity(),
        SOFTMAX,
        *SEQUENCES,
        lambda z, t, **w: np.exp(log_loss(z, t, **w)),
    ),
]


@pytest.fixture(params=TABLE, ids=lambda row: row[0])
def case(request):
    """metric, loss, outputs, targets, reference"""
    return request.param[1:]


def test_every_registered_metric_is_in_a_table():
    assert {m for m in METRICS.values() if not m.gathered} == {type(metric) for _, metric, *_ in TABLE}
    assert {m for m in METRICS.values() if m.gathered} == {type(metric) for _, metric, *_ in AREAS}


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


def area(average=None, multi_class="raise"):
    def reference(z, t, weights=None):
        share = softmax(z) if t.ndim < z.ndim and z.shape[-1] > 1 else sigmoid(z)
        share = share[..., 1] if share.shape[-1] == 2 and z.ndim == 2 else share
        return sklearn.roc_auc_score(
            t, share, average=average, multi_class=multi_class, sample_weight=weights
        )

    return reference


TIED = LOGIT.round(0)
AREAS = [
    ("auc of one output", AUC(), BINARY, LOGIT, BITS, area()),
    ("auc of ties", AUC(), BINARY, TIED, BITS, area()),
    ("auc of numbers", AUC(), BINARY, LOGIT[:, 0], BITS, area()),
    ("auc of two classes", AUC("binary"), SOFTMAX, SCORES[:, :2], BITS, area()),
    ("auc of classes", AUC(), SOFTMAX, SCORES, CLASSES, area("macro", "ovr")),
    ("auc weighted", AUC("weighted"), SOFTMAX, SCORES, CLASSES, area("weighted", "ovr")),
    ("auc micro", AUC("micro"), SOFTMAX, SCORES, CLASSES, area("micro", "ovr")),
    ("auc of labels", AUC(), BINARY, SCORES, LABELS, area("macro")),
    ("auc of labels weighted", AUC("weighted"), BINARY, SCORES, LABELS, area("weighted")),
    ("auc of labels micro", AUC("micro"), BINARY, SCORES, LABELS, area("micro")),
]
PAIRS = [
    ("auc of pairs", AUC("macro", "ovo"), SOFTMAX, SCORES, CLASSES, area("macro", "ovo")),
    ("auc of pairs weighted", AUC("weighted", "ovo"), SOFTMAX, SCORES, CLASSES, area("weighted", "ovo")),
]
ROW_WEIGHTS = RNG.integers(0, 9, ROWS) / 4


@pytest.mark.parametrize("row", [*AREAS, *PAIRS], ids=lambda row: row[0])
def test_areas_are_scikit_learns_and_the_same_bits_over_any_cut(row):
    _, metric, loss, z, t, reference = row
    whole = metric.value(metric.sums(z, t, loss))
    assert whole == pytest.approx(reference(z, t), rel=1e-14)
    back = np.arange(ROWS)[::-1]
    for cuts, rows in (([1, 7, 30], np.arange(ROWS)), ([100], back), (range(1, ROWS), back)):
        pieces = zip(np.split(z[rows], cuts), np.split(t[rows], cuts), strict=True)
        (total,) = (metric.sums(a, b, loss)[0] for a, b in [next(pieces)])
        for a, b in pieces:
            total = total + metric.sums(a, b, loss)[0]
        assert metric.value((total.packed(),)) == whole


@pytest.mark.parametrize("row", AREAS, ids=lambda row: row[0])
def test_areas_of_rows_with_weights(row):
    _, metric, loss, z, t, reference = row
    value = metric.value(metric.weighted_sums(z, t, loss, ROW_WEIGHTS))
    assert value == pytest.approx(reference(z, t, ROW_WEIGHTS), rel=1e-13)
    assert metric.value(metric.weighted_sums(z, t, loss, np.ones(ROWS))) == metric.value(
        metric.sums(z, t, loss)
    )


def test_areas_of_sequences_are_those_of_all_positions():
    z, t = SEQUENCES
    flat = AUC().sums(z.reshape(-1, 6), t.ravel(), SOFTMAX)
    assert AUC().value(AUC().sums(z, t, SOFTMAX)) == AUC().value(flat)


def test_an_area_of_one_class_has_no_value():
    assert math.isnan(AUC().value(AUC().sums(LOGIT, np.ones(ROWS), BINARY)))
    assert math.isnan(AUC().value(AUC().sums(SCORES, FEW, SOFTMAX)))
    assert math.isnan(AUC().value(AUC().sums(np.full((4, 1), np.nan), BITS[:4], BINARY)))


def test_weights_of_one_change_no_bit(case):
    metric, loss, z, t, _ = case
    assert metric.weighted_sums(z, t, loss, np.ones(len(z), z.dtype)) == metric.sums(z, t, loss)


def test_whole_weights_are_rows_that_occur_as_often(case):
    metric, loss, z, t, _ = case
    times = np.arange(len(z)) % 4
    rows = np.repeat(np.arange(len(z)), times)
    value = metric.value(metric.weighted_sums(z, t, loss, times.astype(float)))
    np.testing.assert_allclose(value, metric.value(metric.sums(z[rows], t[rows], loss)), rtol=1e-12)


@pytest.mark.parametrize("row", [*COUNTED, TABLE[-3]], ids=lambda row: row[0])
def test_weighted_values_are_scikit_learns(row):
    _, metric, loss, z, t, reference = row
    weights = ROW_WEIGHTS[: len(z)] + 0.25
    value = metric.value(metric.weighted_sums(z, t, loss, weights))
    np.testing.assert_allclose(value, reference(z, t, weights=weights), rtol=1e-12)


class Own(Metric):
    """A metric that knows nothing of weights."""

    kind = "own"

    def sums(self, outputs, targets, loss):
        return float((outputs - targets).sum()), float(len(outputs))


def test_a_metric_of_ones_own_is_weighed_by_its_sums():
    z, t, w = np.array([1.0, 5.0, 2.0, 7.0]), np.zeros(4), np.array([2.0, 0.5, 2.0, 0.0])
    assert Own().weighted_sums(z, t, SQUARED, w) == (8.5, 4.5)


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
