"""A softmax done across parts of the outputs is the softmax of all of them."""

import numpy as np
import pytest

from daskpar.nn.losses import MeanSquaredError, SoftmaxCrossEntropy


@pytest.mark.parametrize("size", [1.0, 300.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["classes", "probabilities", "sequences"])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_are_the_whole(parts, kind, smoothing, size):
    rng, loss = np.random.default_rng(0), SoftmaxCrossEntropy(label_smoothing=smoothing)
    shape = (5, 3, 8) if kind == "sequences" else (5, 8)
    outputs = size * rng.standard_normal(shape)
    targets = rng.integers(0, 8, shape[:-1])
    if kind == "probabilities":
        targets = rng.dirichlet(np.ones(8), 5)
    expected, weight, gradient = loss(outputs, targets)
    each = 8 // parts
    pieces = [(k * each, outputs[..., k * each : (k + 1) * each]) for k in range(parts)]
    total = loss.combine([loss.gather(y, targets, first, 8) for first, y in pieces])
    found = [loss.with_total(y, targets, first, 8, total) for first, y in pieces]
    for value, count, _ in found:
        assert value == pytest.approx(expected, rel=1e-12) and count == weight
    joined = np.concatenate([d for _, _, d in found], axis=-1)
    np.testing.assert_allclose(joined, gradient, rtol=0, atol=1e-12)


def test_parts_of_rows_with_weights_are_the_whole():
    rng, loss = np.random.default_rng(0), SoftmaxCrossEntropy(label_smoothing=0.1)
    outputs, targets, weights = rng.standard_normal((5, 3, 8)), rng.integers(0, 8, (5, 3)), rng.random(5)
    total = loss.combine([loss.gather(outputs[..., k : k + 4], targets, k, 8) for k in (0, 4)])
    found = [loss.with_total(outputs[..., k : k + 4], targets, k, 8, total, weights) for k in (0, 4)]
    expected = loss.weighted(outputs, targets, weights)
    for value, count, _ in found:
        assert (value, count) == pytest.approx(expected[:2], rel=1e-12)
    np.testing.assert_allclose(np.concatenate([d for *_, d in found], axis=-1), expected[2], atol=1e-12)


def test_float32_stays_float32():
    loss, y = SoftmaxCrossEntropy(label_smoothing=0.1), np.ones((2, 4), np.float32)
    gathered = loss.gather(y, np.array([0, 3]), 0, 8)
    assert gathered.dtype == loss.with_total(y, np.array([0, 3]), 0, 8, gathered)[2].dtype == np.float32


def test_which_losses_split():
    assert SoftmaxCrossEntropy().splits
    assert not SoftmaxCrossEntropy(class_weights=(1.0, 2.0)).splits and not MeanSquaredError().splits
