"""Every layer against PyTorch: the same parameters, outputs and gradients, in float32."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from device import convert
from layer_pairs import NOT_IN_PYTORCH, PAIRS
from torch_functions import F, first, torch

from daskpar.nn import BatchNorm, Context
from daskpar.nn.registry import LAYERS

ROWS = 7


def assert_close(name, ours, theirs):
    """Within 1e-5 of the largest magnitude."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
    error = np.max(np.abs(ours - theirs)) / max(np.max(np.abs(theirs)), 1e-3)
    assert error < 1e-5, f"{name}: relative error {error:.1e}"


def walk(params, prefix=""):
    for name, value in params.items():
        if isinstance(value, dict):
            yield from walk(value, f"{prefix}{name}.")
        elif not name.startswith("running_"):
            yield prefix + name, value


def test_every_registered_layer_has_a_pair_or_a_reason():
    compared = {pair.ours.kind for pair in PAIRS}
    assert compared | NOT_IN_PYTORCH.keys() == LAYERS.keys()
    assert not compared & NOT_IN_PYTORCH.keys()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_layer_is_that_of_pytorch(pair):
    rng = np.random.default_rng(zlib.crc32(pair.name.encode()))
    params, out_shape = pair.ours.init(rng, pair.shape)
    params = convert(
        params, np.ndarray, lambda p: (p + 0.2 * rng.standard_normal(p.shape)).astype(np.float32)
    )
    x, dy = (rng.standard_normal((ROWS, *shape)).astype(np.float32) for shape in (pair.shape, out_shape))
    if pair.words:
        x = rng.integers(0, pair.words, x.shape)
    mask = keep = None
    if pair.lengths is not None:
        mask = np.arange(pair.shape[0]) < np.array(pair.lengths)[:, None]
    if mask is not None and len(out_shape) == 2:
        keep = mask[..., None]  # what stands at masked positions is nobody's business
        dy *= keep
    ctx = Context(training=pair.training, mask=mask)
    y, saved = pair.ours.forward(params, x, ctx)
    dx, grads = pair.ours.backward(params, saved, dy, ctx)

    tensors = convert(params, np.ndarray, lambda p: torch.tensor(p, requires_grad=True))
    inputs = torch.tensor(x, requires_grad=not pair.words)
    outputs = pair.theirs(tensors, inputs, None if mask is None else torch.tensor(mask))
    outputs.backward(torch.tensor(dy))
    assert_close(
        "y", y if keep is None else y * keep, outputs if keep is None else outputs * torch.tensor(keep)
    )
    if not pair.words:
        assert_close("dx", dx, inputs.grad)
    found = dict(walk(grads))
    for name, tensor in walk(tensors):
        assert_close(name, found[name], tensor.grad)


@pytest.mark.parametrize("momentum", [0.9, 0.5])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (3, 2, 4)], ids=str)
def test_running_statistics_are_those_of_pytorch(shape, momentum):
    layer, rng = BatchNorm(momentum), np.random.default_rng(0)
    params, _ = layer.init(rng, shape)
    params = convert(params, np.ndarray, lambda p: p.astype(np.float32))
    mean, variance = torch.zeros(4), torch.ones(4)
    ctx = Context(training=True)
    for _ in range(3):
        x = (3 + 2 * rng.standard_normal((6, *shape))).astype(np.float32)
        y, saved = layer.forward(params, x, ctx)
        _, sums = layer.backward(params, saved, np.zeros_like(y), ctx)
        params |= layer.observe(params, sums)
        F.batch_norm(first(torch.tensor(x)), mean, variance, training=True, momentum=1 - momentum)
    assert_close("running_mean", params["running_mean"], mean)
    assert_close("running_variance", params["running_variance"], variance)
    y, _ = layer.forward(params, x, replace(ctx, training=False))
    assert_close("y", y, F.batch_norm(first(torch.tensor(x)), mean, variance).movedim(1, -1))
