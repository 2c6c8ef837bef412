"""Every loss against PyTorch: the mean and its gradient, in float32."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from torch_functions import F, torch

from daskpar.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
)
from daskpar.nn.registry import LOSSES

WEIGHTS = (0.5, 2.0, 0.0, 1.25)


class Pair(NamedTuple):
    """`shape`: of one example's outputs. `targets`: classes, probabilities, shares (in [0, 1]) or numbers."""

    name: str
    ours: Loss
    shape: tuple[int, ...]
    targets: str
    theirs: Callable[[Any, Any], Any]


def cross_entropy(smoothing=0.0, weights=None):
    weight = None if weights is None else torch.tensor(weights)

    def theirs(outputs, targets):
        flat = outputs.reshape(-1, outputs.shape[-1])
        goal = targets.reshape(-1) if targets.dtype == torch.int64 else targets.reshape(flat.shape)
        return F.cross_entropy(flat, goal, weight, label_smoothing=smoothing)

    return theirs


PAIRS = [
    *(
        Pair(
            f"softmax_cross_entropy {shape} {targets} {smoothing} {weights}",
            SoftmaxCrossEntropy(smoothing, weights),
            shape,
            targets,
            cross_entropy(smoothing, weights),
        )
        for shape in [(4,), (3, 4)]
        for targets in ("classes", "probabilities")
        for smoothing in (0.0, 0.1)
        for weights in (None, WEIGHTS)
    ),
    Pair(
        "binary_cross_entropy",
        BinaryCrossEntropy(),
        (3,),
        "shares",
        F.binary_cross_entropy_with_logits,
    ),
    Pair("mean_squared_error", MeanSquaredError(), (3,), "numbers", F.mse_loss),
    Pair("mean_squared_error of images", MeanSquaredError(), (2, 3, 1), "numbers", F.mse_loss),
    Pair("mean_absolute_error", MeanAbsoluteError(), (3,), "numbers", F.l1_loss),
    Pair("huber", Huber(), (3,), "numbers", F.huber_loss),
    Pair("huber narrow", Huber(0.25), (1,), "numbers", lambda o, t: F.huber_loss(o, t, delta=0.25)),
]


def drawn(rng, kind, shape):
    if kind == "classes":
        return rng.integers(0, shape[-1], shape[:-1])
    values = rng.random(shape) if kind != "numbers" else rng.standard_normal(shape)
    if kind == "probabilities":
        values /= values.sum(axis=-1, keepdims=True)
    return values.astype(np.float32)


def test_every_registered_loss_has_a_pair():
    assert {pair.ours.kind for pair in PAIRS} == LOSSES.keys()


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_loss_is_that_of_pytorch(pair, size):
    rng = np.random.default_rng(0)
    outputs = (size * rng.standard_normal((11, *pair.shape))).astype(np.float32)
    targets = drawn(rng, pair.targets, outputs.shape)
    total, weight, d_outputs = pair.ours(outputs, targets)
    tensor = torch.tensor(outputs, requires_grad=True)
    mean = pair.theirs(tensor, torch.tensor(targets))
    mean.backward()
    assert total / weight == pytest.approx(mean.item(), rel=1e-5)
    expected = tensor.grad.numpy()
    assert d_outputs.dtype == np.float32
    assert np.max(np.abs(d_outputs / weight - expected)) < 1e-5 * np.max(np.abs(expected))
