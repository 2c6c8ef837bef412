"""Every optimizer against PyTorch: parameters after each of five steps, in float32."""

import numpy as np
import pytest
from torch_functions import torch

from daskpar.optim import SGD, Adagrad, Adam, AdamW, RMSProp, Tensors
from daskpar.optim.registry import OPTIMIZERS

NOT_IN_PYTORCH = {"lamb": "PyTorch has none", "lars": "PyTorch has none"}
SIZE = 1000

PAIRS = [
    (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    (SGD(0.1, weight_decay=0.05), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.05)),
    (SGD(0.1, 0.9), lambda p: torch.optim.SGD(p, 0.1, 0.9)),
    (
        SGD(0.1, 0.9, nesterov=True, weight_decay=0.05),
        lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=0.05),
    ),
    (RMSProp(0.1), lambda p: torch.optim.RMSprop(p, 0.1)),
    (
        RMSProp(0.1, 0.9, 1e-6, momentum=0.8, weight_decay=0.05),
        lambda p: torch.optim.RMSprop(p, 0.1, 0.9, 1e-6, momentum=0.8, weight_decay=0.05),
    ),
    (Adagrad(0.1), lambda p: torch.optim.Adagrad(p, 0.1)),
    (
        Adagrad(0.1, 1e-3, weight_decay=0.05),
        lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-3, weight_decay=0.05),
    ),
    (Adam(0.1), lambda p: torch.optim.Adam(p, 0.1)),
    (
        Adam(0.1, 0.7, 0.9, 1e-3, weight_decay=0.05),
        lambda p: torch.optim.Adam(p, 0.1, (0.7, 0.9), 1e-3, weight_decay=0.05),
    ),
    (AdamW(0.1), lambda p: torch.optim.AdamW(p, 0.1)),
    (
        AdamW(0.1, 0.7, 0.9, 1e-3, weight_decay=0.5),
        lambda p: torch.optim.AdamW(p, 0.1, (0.7, 0.9), 1e-3, weight_decay=0.5),
    ),
]


def test_every_registered_optimizer_has_a_pair_or_a_reason():
    compared = {ours.kind for ours, _ in PAIRS}
    assert compared | NOT_IN_PYTORCH.keys() == OPTIMIZERS.keys()
    assert not compared & NOT_IN_PYTORCH.keys()


@pytest.mark.parametrize("ours, theirs", PAIRS, ids=[str(ours) for ours, _ in PAIRS])
def test_an_optimizer_is_that_of_pytorch(ours, theirs):
    rng = np.random.default_rng(0)
    params = rng.standard_normal(SIZE).astype(np.float32)
    tensor = torch.tensor(params, requires_grad=True)
    optimizer, slots = theirs([tensor]), ours.init(params)
    everything = Tensors(((0, SIZE),), ((0, SIZE),))
    for step in range(5):
        grads = (rng.standard_normal(SIZE) * 10.0 ** rng.integers(-3, 2)).astype(np.float32)
        params, slots = ours.update(params, grads, slots, step, ours.lr, everything)
        tensor.grad = torch.tensor(grads)
        optimizer.step()
        expected = tensor.detach().numpy()
        assert np.max(np.abs(params - expected)) < 1e-5 * np.max(np.abs(expected)), step
