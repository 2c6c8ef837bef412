"""Layers made of layers: cut in depth, contexts, and what they refuse."""

import numpy as np
import pytest

from daskpar.errors import InputError
from daskpar.nn import (
    LSTM,
    Context,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    MultiHeadAttention,
    ParameterTable,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    TransformerBlock,
)
from daskpar.nn.operations import Flow, backward, forward, operations

LAYERS = (Tanh(), Dense(6), Dropout(0.5), Residual((Dense(6), ReLU(), Dropout(0.5))), Flatten(), Dense(2))
MODEL = Sequential(LAYERS)


@pytest.mark.parametrize("cut", range(len(LAYERS) + 1))
def test_a_model_cut_in_depth_is_the_whole(cut):
    rng = np.random.default_rng(0)
    params, _ = MODEL.init(rng, (4,))
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    ctx = Context(training=True, seed=1, step=2, row=3)
    y, saved = MODEL.forward(params, x, ctx)
    dx, grads = MODEL.backward(params, saved, dy, ctx)

    program, stop = operations(MODEL), len(LAYERS)
    middle, first = forward(program, (0, cut), params, Flow(x), ctx)
    end, second = forward(program, (cut, stop), params, middle, ctx)
    d_middle, late = backward(program, (cut, stop), params, second, Flow(dy), ctx, first=-1)
    d_start, early = backward(program, (0, cut), params, first, d_middle, ctx, first=-1)
    np.testing.assert_array_equal(end.x, y)
    np.testing.assert_array_equal(d_start.x, dx)
    assert (late | early).keys() == grads.keys()
    table = ParameterTable.of(params)
    np.testing.assert_array_equal(table.flatten(late | early, "f8"), table.flatten(grads, "f8"))


def test_backward_ends_at_the_first_layer_with_parameters():
    params, _ = MODEL.init(np.random.default_rng(0), (4,))
    ctx = Context(input_gradient=False)
    y, saved = MODEL.forward(params, np.ones((3, 4)), ctx)
    dx, grads = MODEL.backward(params, saved, y, ctx)
    assert dx is None
    assert list(grads) == ["5", "4", "3", "2", "1"]


def test_parts_start_apart_whatever_follows_them():
    short, _ = Sequential((Dense(3), Dense(3))).init(np.random.default_rng(0), (3,))
    long, _ = Sequential((Dense(3), Dense(3), Dense(3))).init(np.random.default_rng(0), (3,))
    for part in ("0", "1"):
        np.testing.assert_array_equal(short[part]["weight"], long[part]["weight"])
    assert not np.array_equal(short["0"]["weight"], short["1"]["weight"])


def test_dropouts_in_one_model_draw_different_masks():
    model = Sequential((Dropout(0.5), Dropout(0.5), Residual((Dropout(0.5),))))
    _, saved = model.forward({}, np.ones((50, 20)), Context(training=True))
    masks = [saved[0], saved[1], saved[2][1]]  # within the residual: fork, dropout, join
    for i in range(3):
        for j in range(i):
            assert 0.4 < np.mean((masks[i] > 0) == (masks[j] > 0)) < 0.6


def test_a_context_leads_to_its_parts():
    weight = np.zeros(2)
    ctx = Context(training=True, seed=1, step=2, row=3, path=(4,), out={"0": {"weight": weight}})
    child = ctx.child(0, input_gradient=False)
    assert child.path == (4, 0) and child.space("weight") is weight and child.space("bias") is None
    assert (child.training, child.seed, child.step, child.row, child.input_gradient) == (True, 1, 2, 3, False)
    assert ctx.child(1).out is None and ctx.child(1).space("weight") is None


REFUSED = [
    (lambda: Dense(0), "dense.units=0 must be above zero"),
    (lambda: Dense(-2), "dense.units=-2 must be above zero"),
    (lambda: Dense(2, init_weight="hee"), "initialiser 'hee' is not known; did you mean 'he'?"),
    (
        lambda: Dense(2, init_bias="?"),
        "initialiser '?' is not known; known: glorot, he, lecun, normal, zeros",
    ),
    (lambda: Conv1d(4, groups=3), "conv1d: groups=3 does not divide channels=4"),
    (lambda: Conv1d(0), "conv1d.channels=0 must be above zero"),
    (lambda: Dropout(1.0), "dropout.rate=1.0 must be at least 0 and below 1"),
    (lambda: Dropout(-0.1), "dropout.rate=-0.1 must be at least 0 and below 1"),
    (lambda: Dropout(float("nan")), "dropout.rate=nan must be at least 0 and below 1"),
    (lambda: Sequential(()), "a model needs at least one layer"),
    (
        lambda: Dense(2).init(np.random.default_rng(0), (3, 4, 1)),
        "dense: expected examples of one axis, or sequences of two, got shape (3, 4, 1); put a flatten "
        "before it",
    ),
    (
        lambda: Sequential((ReLU(), Dense(2))).init(np.random.default_rng(0), ()),
        "layer 1: dense: expected examples of one axis, or sequences of two, got shape (); put a flatten "
        "before it",
    ),
    (
        lambda: Sequential((Dense(4), Residual((Dense(3),)))).init(np.random.default_rng(0), (4,)),
        "layer 1: residual: its layers turn (4,) into (3,); they must keep the shape, or a shortcut must "
        "change it in the same way",
    ),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message


SHAPES = [
    (
        Conv2d(4),
        (28, 28),
        "conv2d: expected images (height, width, channels), got shape (28, 28); a grey image needs a last "
        "axis of 1",
    ),
    (
        Conv2d(4, kernel=5),
        (3, 9, 1),
        "conv2d: a kernel of (5, 5) does not fit into images of (3, 9, 1); use a smaller kernel, or "
        "padding: same",
    ),
    (Conv2d(4, groups=2), (9, 9, 3), "conv2d: groups=2 does not divide the 3 channels of (9, 9, 3)"),
    (
        Conv1d(4),
        (2, 5),
        "conv1d: a kernel of 3 does not fit into sequences of (2, 5); use a smaller kernel, or padding: same",
    ),
    (Conv1d(4, groups=2), (9, 3), "conv1d: groups=2 does not divide the 3 channels of (9, 3)"),
    (Conv1d(4), (9,), "conv1d: expected sequences (positions, features), got shape (9,)"),
    (
        ConvTranspose2d(2, kernel=2, padding=2),
        (2, 2, 1),
        "conv_transpose2d: padding=2 leaves nothing of images of (2, 2, 1)",
    ),
    (
        MaxPool(4),
        (3, 3, 1),
        "max_pool: windows of (4, 4) do not fit into (3, 3, 1); use smaller ones, or padding: same",
    ),
    (MultiHeadAttention(2), (4, 5), "multi_head_attention: heads=2 does not divide the 5 features of (4, 5)"),
    (
        TransformerBlock(2),
        (5,),
        "transformer_block: layer 0: layer 1: multi_head_attention: expected sequences (positions, "
        "features), got shape (5,); put an embedding before it",
    ),
    (
        Sequential((Dense(3), Residual((Dense(3), LSTM(3))))),
        (4,),
        "layer 1: layer 1: lstm: expected examples of shape (positions, features), got (3,); put an "
        "embedding or a reshape before it",
    ),
]


@pytest.mark.parametrize("layer, shape, message", SHAPES, ids=[message for *_, message in SHAPES])
def test_refuses_shapes(layer, shape, message):
    with pytest.raises(InputError) as caught:
        layer.init(np.random.default_rng(0), shape)
    assert str(caught.value) == message
