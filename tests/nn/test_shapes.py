"""Shapes that Hypothesis draws: `init` tells the output's, gradients are right, rows are on their own."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from device import convert, leaves
from hypothesis import assume, given, settings, strategies as st
from layer_rows import TABLE

from daskpar.errors import InputError
from daskpar.nn import (
    GRU,
    LSTM,
    AvgPool,
    BatchNorm,
    Context,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool,
    GroupNorm,
    Layer,
    LayerNorm,
    MaxPool,
    MultiHeadAttention,
    RMSNorm,
    SimpleRNN,
    TransformerBlock,
)

ROWS = 3
FEW = st.integers(1, 3)
SOME = st.integers(1, 7)


class Drawn(NamedTuple):
    layer: Layer
    shape: tuple[int, ...]
    mask: Any = None
    training: bool = True


def sizes(most):
    """One number for height and width, or one each."""
    return st.one_of(st.integers(1, most), st.tuples(st.integers(1, most), st.integers(1, most)))


def masks(positions):
    """None, or a mask in which anything may be hidden."""
    bits = st.lists(st.booleans(), min_size=ROWS * positions, max_size=ROWS * positions)
    return st.none() | bits.map(lambda b: np.array(b).reshape(ROWS, positions))


@st.composite
def conv1d(draw):
    groups = draw(st.integers(1, 2))
    layer = Conv1d(
        groups * draw(FEW),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from([0, 1, 2, "valid", "same", "causal"])),
        draw(st.integers(1, 3)),
        groups,
        draw(st.booleans()),
    )
    return Drawn(layer, (draw(SOME), groups * draw(FEW)))


@st.composite
def conv2d(draw):
    groups, padding = draw(st.integers(1, 2)), st.sampled_from([0, 1, (0, 2), "valid", "same"])
    size = (draw(sizes(3)), draw(sizes(4)), draw(padding), draw(sizes(2)))
    layer = Conv2d(groups * draw(FEW), *size, groups, draw(st.booleans()))
    return Drawn(layer, (draw(SOME), draw(SOME), groups * draw(FEW)))


@st.composite
def conv_transpose2d(draw):
    padding = st.sampled_from([0, 1, "valid", "same"])
    layer = ConvTranspose2d(draw(FEW), draw(sizes(4)), draw(sizes(3)), draw(padding), draw(sizes(2)))
    return Drawn(layer, (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(FEW)))


@st.composite
def pool(draw):
    kind = draw(st.sampled_from([MaxPool, AvgPool]))
    stride = draw(st.none() | sizes(4))
    padding = draw(st.sampled_from(["valid", "same", 1, (0, 1)]))
    try:
        layer = kind(draw(sizes(3)), stride, padding)
    except InputError:
        assume(False)
    shape = (draw(SOME), draw(SOME), draw(FEW))
    return Drawn(layer, shape[draw(st.integers(0, 1)) :])


@st.composite
def attention(draw):
    heads, positions = draw(FEW), draw(st.integers(1, 6))
    rotary, causal = draw(st.booleans()), draw(st.booleans())
    features = heads * draw(st.integers(1, 2)) * (2 if rotary else 1)
    layer = draw(
        st.sampled_from(
            [
                MultiHeadAttention(heads, causal, rotary, bias=positions > 3),
                TransformerBlock(heads, causal, rotary, norm="rms_norm"),
            ]
        )
    )
    return Drawn(layer, (positions, features), draw(masks(positions)))


@st.composite
def recurrent(draw):
    kind, positions = draw(st.sampled_from([SimpleRNN, LSTM, GRU])), draw(SOME)
    layer = kind(draw(FEW), *(draw(st.booleans()) for _ in range(3)))
    return Drawn(layer, (positions, draw(FEW)), draw(masks(positions)))


@st.composite
def norm(draw):
    shape = (*draw(st.sampled_from([(), (4,), (1,), (3, 2)])), draw(st.sampled_from([2, 4, 6])))
    layer = draw(st.sampled_from([LayerNorm(0.1), GroupNorm(2, 0.1), RMSNorm(0.1), BatchNorm(epsilon=0.1)]))
    takes_masks = len(shape) == 2 and isinstance(layer, GroupNorm | BatchNorm)
    training = not isinstance(layer, BatchNorm)  # while training, its rows are not on their own
    return Drawn(layer, shape, draw(masks(shape[0])) if takes_masks else None, training)


@st.composite
def batch_norm(draw):
    drawn = draw(norm())
    return drawn._replace(layer=BatchNorm(epsilon=0.1), mask=None, training=True)


@st.composite
def global_pool(draw):
    shape = (draw(SOME), draw(SOME), draw(FEW))[draw(st.integers(0, 1)) :]
    return Drawn(GlobalAvgPool(), shape, draw(masks(shape[0])) if len(shape) == 2 else None)


FAMILIES = {
    "conv1d": conv1d(),
    "conv2d": conv2d(),
    "conv_transpose2d": conv_transpose2d(),
    "pool": pool(),
    "attention": attention(),
    "recurrent": recurrent(),
    "norm": norm(),
    "batch_norm": batch_norm(),
    "global_pool": global_pool(),
}


def run(layer, params, x, dy, ctx):
    """(y, dx, grads)"""
    y, saved = layer.forward(params, x, ctx)
    return (y, *layer.backward(params, saved, dy, ctx))


def walk(params, prefix=""):
    for name, value in params.items():
        if isinstance(value, dict):
            yield from walk(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape(family, data):
    layer, shape, mask, training = data.draw(FAMILIES[family])
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    try:
        params, out_shape = layer.init(rng, shape)
    except InputError as error:
        assert str(error).startswith(layer.kind)  # tested below
        assume(False)
    params = convert(params, np.ndarray, lambda p: p + rng.uniform(0.1, 0.3, p.shape))
    x, dy = rng.standard_normal((ROWS, *shape)), rng.standard_normal((ROWS, *out_shape))
    if isinstance(layer, MaxPool):
        x = rng.permutation(x.size).reshape(x.shape) / 4  # so far apart that no step changes which is largest
    ctx = Context(training, mask=mask)
    y, dx, grads = run(layer, params, x, dy, ctx)
    assert y.shape == dy.shape and dx.shape == x.shape
    along_the_gradient(layer, params, x, dy, ctx, dx, grads, rng)
    if family != "batch_norm":
        in_pieces(layer, params, x, dy, ctx, (y, dx, grads))


def along_the_gradient(layer, params, x, dy, ctx, dx, grads, rng):
    """The slope of Σ y·dy in a random direction, by differences of four points, is what gradients say."""
    moves = {name: rng.standard_normal(p.shape) for name, p in walk(params) if "running_" not in name}
    step, along = 1e-5, rng.standard_normal(x.shape)

    def moved(size):
        def nested(tree, prefix=""):
            return {
                n: nested(v, f"{prefix}{n}.") if isinstance(v, dict) else v + size * moves.get(prefix + n, 0)
                for n, v in tree.items()
            }

        y, _ = layer.forward(nested(params), x + size * along, ctx)
        return np.sum(y * dy)

    terms = [dx * along, *(g * moves[n] for n, g in walk(grads) if n in moves)]
    near, far = (moved(h) - moved(-h) for h in (step, 2 * step))
    slope = (8 * near - far) / (12 * step)  # norms are steep near zero: two points would not do
    size = sum(np.abs(term).sum() for term in terms)
    assert abs(slope - sum(term.sum() for term in terms)) < 1e-6 * max(size, 1e-2)


def in_pieces(layer, params, x, dy, ctx, whole):
    """Rows in two pieces give what they give together; gradients of parameters add up."""
    found = []
    for piece in (slice(0, 1), slice(1, ROWS)):
        mask = None if ctx.mask is None else ctx.mask[piece]
        own = replace(ctx, row=piece.start, mask=mask)
        found.append(run(layer, params, x[piece], dy[piece], own))
    for i in range(2):
        np.testing.assert_allclose(np.concatenate([f[i] for f in found]), whole[i], rtol=1e-12, atol=1e-12)
    for one, other, total in zip(*(leaves(g) for g in (found[0][2], found[1][2], whole[2])), strict=True):
        np.testing.assert_allclose(one + other, total, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_convolution_is_its_sum(data):
    layer, shape, *_ = data.draw(conv2d())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    try:
        params, out_shape = layer.init(rng, shape)
    except InputError:
        assume(False)
    x, weight, how = rng.standard_normal((2, *shape)), params["weight"], layer.geometry(shape[:2])
    padded = np.pad(x, ((0, 0), *how.padding, (0, 0)))
    inside, units = weight.shape[2], weight.shape[3] // layer.groups
    expected = np.zeros((2, *out_shape))
    for i, j, unit in np.ndindex(*out_shape):
        first = unit // units * inside
        for a, b in np.ndindex(*weight.shape[:2]):
            down, across = (
                place * stride + tap * step
                for place, stride, tap, step in zip((i, j), how.stride, (a, b), how.dilation, strict=True)
            )
            expected[:, i, j, unit] += padded[:, down, across, first : first + inside] @ weight[a, b, :, unit]
    y, _ = layer.forward(params, x, Context())
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


SHAPES = [(), (1,), (3,), (4, 3), (1, 1), (5, 4, 3), (1, 6, 2), (1, 1, 1), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_shape_is_taken_or_refused_in_one_line(row, shape):
    layer = row.layer
    try:
        params, out_shape = layer.init(np.random.default_rng(0), shape)
    except InputError as error:
        message = str(error)
        assert "\n" not in message
        if not hasattr(layer, "layers") and not isinstance(layer, TransformerBlock):
            assert message.startswith(layer.kind)
            assert str(shape) in message or not shape
        return
    x = np.zeros((2, *shape)) if row.words is None else np.zeros((2, *shape), np.int32)
    y, saved = layer.forward(params, x, Context(training=True))
    assert y.shape == (2, *out_shape)
    dx, _ = layer.backward(params, saved, y, Context(training=True))
    assert row.words is not None or dx.shape == x.shape
