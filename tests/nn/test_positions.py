"""A share of the positions of a sequence computes what the whole computes for them, layer by layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daskpar.backend.random import init_rng, uniform16, uniform16_within
from daskpar.nn import (
    GELU,
    LSTM,
    Conv1d,
    Dense,
    Dropout,
    Embedding,
    FeedForward,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    LearnedPositions,
    Masking,
    MultiHeadAttention,
    RMSNorm,
    SpatialDropout,
    TransformerBlock,
)
from daskpar.nn.layer import Context, Layer, Operation
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.operations import operations
from daskpar.nn.positions import bounds, why_not
from daskpar.nn.ring import Ring

LENGTH, FEATURES = 7, 6
ALONE = [
    *(Dense(5), Dense(4, bias=False), GELU(), LayerNorm(), RMSNorm(), FeedForward(2), LearnedPositions()),
    *(Dropout(0.4), SpatialDropout(0.4), Masking()),
]
CONTEXT = Context(True, seed=4, step=3, row=2, path=(1, 0))


def sequences(layer: Layer) -> np.ndarray:
    if layer.tokens:
        return np.random.default_rng(0).integers(0, 5, (3, LENGTH))
    return np.random.default_rng(0).standard_normal((3, LENGTH, FEATURES))


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
@pytest.mark.parametrize("layer", [*ALONE, Embedding(5, FEATURES, padding=1)], ids=lambda each: each.kind)
def test_shares_of_a_layer_are_the_whole(layer: Layer, shares: int) -> None:
    x = sequences(layer)
    params, _ = layer.init(init_rng(0), x.shape[1:])
    y, saved, mask = layer.run(params, x, CONTEXT)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, gradients = layer.backward(params, saved, dy, CONTEXT)
    outputs, masks, slopes, sums = [], [], [], {name: 0.0 for name in gradients}
    for start, stop in bounds(LENGTH, shares):
        share = layer.share(start, stop, LENGTH)
        out, keep, seen = share.run(params, x[:, start:stop], CONTEXT)
        d_in, found = share.backward(params, keep, dy[:, start:stop], CONTEXT)
        outputs.append(out), masks.append(seen), slopes.append(d_in)
        sums = {name: sums[name] + found[name] for name in sums}
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), y, rtol=0, atol=1e-12)
    assert mask is None or np.array_equal(np.concatenate(masks, axis=1), mask)
    if dx is not None:
        np.testing.assert_allclose(np.concatenate(slopes, axis=1), dx, rtol=0, atol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(sums[name], gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"rotary": True},
        {"dropout": 0.3},
        {"causal": True, "rotary": True, "bias": False},
    ],
    ids=str,
)
def test_keys_that_go_round_are_the_whole_attention(options: dict[str, object], masked: bool) -> None:
    layer = MultiHeadAttention(3, **options)  # type: ignore[arg-type]
    x = np.random.default_rng(0).standard_normal((3, LENGTH, 12))
    mask = np.random.default_rng(2).random((3, LENGTH)) < 0.6 if masked else None
    if mask is not None:
        mask[1] = False  # a sequence of nothing but padding
    ctx = replace(CONTEXT, mask=mask)
    params, _ = layer.init(init_rng(0), x.shape[1:])
    y, saved = layer.forward(params, x, ctx)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, gradients = layer.backward(params, saved, dy, ctx)

    cuts = bounds(LENGTH, 3)
    rings = [layer.share(start, stop, LENGTH) for start, stop in cuts]
    own = [replace(ctx, mask=None if mask is None else mask[:, a:b]) for a, b in cuts]
    projected = []
    for ring, (a, b), here in zip(rings, cuts, own, strict=True):
        assert isinstance(ring, Ring)
        projected.append(ring.project(params, x[:, a:b], here))
    outputs, kept = [], []
    for s, ring in enumerate(rings):
        seen = None
        for j in range(s + 1) if layer.causal else (1, 2, 0):
            seen = ring.attend(projected[s][0], projected[j][1], seen, own[s])
        out, keep = ring.finish(params, seen)
        outputs.append(out), kept.append(keep)
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), y, rtol=0, atol=1e-12)

    slopes = [r.begin_backward(params, k, dy[:, a:b]) for r, k, (a, b) in zip(rings, kept, cuts, strict=True)]
    dq, dk, dv = ([0.0] * 3 for _ in range(3))
    for s, ring in enumerate(rings):
        for j in range(s + 1) if layer.causal else range(3):
            found = ring.attend_backward(projected[s][0], projected[j][1], kept[s], slopes[s], own[s])
            dq[s], dk[j], dv[j] = dq[s] + found[0], dk[j] + found[1], dv[j] + found[2]
    d_inputs, sums = [], {name: 0.0 for name in gradients}
    for s, (ring, (a, b)) in enumerate(zip(rings, cuts, strict=True)):
        back = (dq[s], dk[s], dv[s])
        d_in, found = ring.finish_backward(params, x[:, a:b], kept[s], dy[:, a:b], back, own[s])
        d_inputs.append(d_in)
        sums = {name: sums[name] + found[name] for name in sums}
    np.testing.assert_allclose(np.concatenate(d_inputs, axis=1), dx, rtol=0, atol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(sums[name], gradient, rtol=0, atol=1e-12, err_msg=name)


def test_draws_for_some_columns_are_those_of_the_whole() -> None:
    whole = uniform16(7, 2, (1, 3), 5, 4, 100)
    some = uniform16_within(7, 2, (1, 3), 5, 4, 100, [range(3, 20), range(33, 34), range(96, 100)])
    assert np.array_equal(some, np.concatenate([whole[:, 3:20], whole[:, 33:34], whole[:, 96:100]], axis=1))


@pytest.mark.parametrize(
    "layers, in_shape, shares, reason",
    [
        ([LSTM(4, sequences=True)], (6, 4), 2, "lstm needs all positions of a sequence"),
        ([Dense(4), GlobalAvgPool()], (6, 4), 2, "global_avg_pool needs all positions of a sequence"),
        ([Conv1d(4)], (6, 4), 2, "conv1d needs all positions of a sequence"),
        ([Flatten(), Dense(4)], (6, 4), 2, "flatten needs all positions of a sequence"),
        ([GroupNorm(2)], (6, 4), 2, "group_norm needs all positions of a sequence"),
        ([Dense(4)], (6,), 2, r"examples of shape (6,) are no sequences (positions, features)"),
        ([Dense(4)], (6, 4), 7, "there are more shares than the 6 positions of an example"),
        (
            [TransformerBlock(2, remat=True)],
            *((6, 4), 2, "transformer_block with remat: true is computed as one; leave out remat"),
        ),
        ([TransformerBlock(2), LayerNorm()], (6, 4), 2, None),
    ],
)
def test_what_needs_all_positions_is_told(
    layers: list[Layer], in_shape: tuple[int, ...], shares: int, reason: str | None
) -> None:
    program: tuple[Operation, ...] = operations(Sequential(tuple(layers)), apart=True)
    assert why_not(program, in_shape, shares) == reason
