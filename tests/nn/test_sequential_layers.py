"""Layers made of layers: repeating, shortcuts, computing again, masks on their way, memory let go of."""

import weakref
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from device import convert, leaves

from daskpar.backend import blas
from daskpar.errors import InputError
from daskpar.nn import (
    GRU,
    LSTM,
    Context,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LearnedPositions,
    Masking,
    MaxPool,
    MultiHeadAttention,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
)
from daskpar.nn.operations import operations

TRAINING = Context(training=True, seed=1, step=2, row=3)


def started(layer, shape, seed=0):
    """Parameters, none of them zero."""
    rng = np.random.default_rng(seed)
    params, _ = layer.init(rng, shape)
    return convert(params, np.ndarray, lambda p: p + 0.2 * rng.standard_normal(p.shape))


def drawn(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def run(layer, params, x, dy, ctx=TRAINING):
    """(y, dx, grads)"""
    y, saved = layer.forward(params, x, ctx)
    return (y, *layer.backward(params, saved, dy, ctx))


def arrays(tree):
    return [leaf for leaf in leaves(tree) if isinstance(leaf, np.ndarray)]


def nested(grads):
    """Arrays by full name."""
    found = {}
    for name, value in grads.items():
        inner = nested(value) if isinstance(value, dict) else {"": value}
        found |= {f"{name}.{rest}": array for rest, array in inner.items()}
    return found


def assert_same(one, other):
    one, other = nested(one), nested(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_repeat_is_its_layers_over_and_over():
    inner = (Dense(4), Tanh())
    assert Sequential((Repeat(3, inner), Dense(2))).layers == inner * 3 + (Dense(2),)
    assert Residual((Repeat(2, inner),), shortcut=(Repeat(2, (Tanh(),)),)).shortcut == (Tanh(), Tanh())
    assert TiedEmbedding(5, 4, layers=(Repeat(2, inner),)).layers == inner * 2
    assert Sequential((Repeat(2, (Dense(1), Repeat(3, inner))),)).layers == (Dense(1), *inner * 3) * 2
    params, _ = Sequential((Repeat(2, inner),)).init(np.random.default_rng(0), (4,))
    assert params.keys() == {"0", "1", "2", "3"}
    assert not np.array_equal(params["0"]["weight"], params["2"]["weight"])


def test_repeat_not_at_all_is_refused():
    with pytest.raises(InputError, match=r"^repeat.times=0 must be above zero$"):
        Repeat(0, (ReLU(),))


def test_a_residual_adds_its_shortcut():
    layer = Residual((Dense(3), Tanh()), shortcut=(Dense(3), Dropout(0.5)))
    params, x, dy = started(layer, (4,)), drawn(5, 4), drawn(5, 3, seed=2)
    assert params.keys() == {"0", "1", "2"} and params["2"].keys() == {"0", "1"}
    y, dx, grads = run(layer, params, x, dy)
    main, side = Sequential(layer.layers), Sequential(layer.shortcut)
    one, other = run(main, params, x, dy), run(side, params["2"], x, dy, replace(TRAINING, path=(2,)))
    np.testing.assert_array_equal(y, one[0] + other[0])
    np.testing.assert_array_equal(dx, one[1] + other[1])
    assert_same(grads, {**one[2], "2": other[2]})
    none, same = run(layer, params, x, dy, replace(TRAINING, input_gradient=False))[1:]
    assert none is None
    np.testing.assert_array_equal(same["0"]["weight"], grads["0"]["weight"])
    np.testing.assert_array_equal(same["2"]["0"]["weight"], grads["2"]["0"]["weight"])


def test_a_residual_whose_branches_differ_is_refused():
    layer = Residual((Dense(3),), shortcut=(Dense(2),))
    message = (
        "residual: its layers turn (4,) into (3,), its shortcut into (2,); they must have the same shape"
    )
    with pytest.raises(InputError) as caught:
        layer.init(np.random.default_rng(0), (4,))
    assert str(caught.value) == message


INNER = (Dense(6), Tanh(), Dropout(0.5), Dense(4), Dropout(0.25))
REMAT = [
    (Sequential(INNER), (4,)),
    (Residual(INNER), (4,)),
    (Residual(INNER, shortcut=(Dense(4),)), (4,)),
    (Sequential((LSTM(3, sequences=True), MultiHeadAttention(1, dropout=0.3), GlobalAvgPool())), (5, 4)),
    (TransformerBlock(2, dropout=0.4), (5, 4)),
    (TransformerBlock(2, False, rotary=True, norm="rms_norm"), (5, 4)),
]


@pytest.mark.parametrize("consume", [False, True])
@pytest.mark.parametrize("layer, shape", REMAT, ids=lambda v: getattr(v, "kind", ""))
def test_computing_again_gives_the_same_bits(layer, shape, consume):
    params, x = started(layer, shape), drawn(6, *shape)
    mask = None if len(shape) == 1 else np.arange(5) < np.array([[5], [3], [1], [4], [2], [5]])
    ctx = replace(TRAINING, mask=mask, consume=consume)
    y, saved, kept = layer.run(params, x, ctx)
    again = replace(layer, remat=True)
    y_again, little, kept_again = again.run(params, x, ctx)
    assert (kept is None) == (kept_again is None)
    np.testing.assert_array_equal(y_again, y)
    dy = drawn(*y.shape, seed=2)
    dx, grads = layer.backward(params, saved, dy, ctx)
    dx_again, grads_again = again.backward(params, little, dy, ctx)
    np.testing.assert_array_equal(dx_again, dx)
    assert_same(grads_again, grads)


@pytest.mark.parametrize("layer, shape", [REMAT[0], REMAT[1], REMAT[3], REMAT[4]], ids=str)
def test_what_is_computed_again_is_not_kept(layer, shape):
    params, x = started(layer, shape), drawn(6, *shape)
    _, saved = layer.forward(params, x, TRAINING)
    _, little = replace(layer, remat=True).forward(params, x, TRAINING)
    assert sum(a.nbytes for a in arrays(little)) == x.nbytes
    assert sum(a.nbytes for a in arrays(saved)) > 2 * x.nbytes


@dataclass(frozen=True)
class Seen(Layer):
    """Passes on what it gets, and writes the mask down."""

    masks: tuple[list, ...] = ([],)
    kind: ClassVar[str] = "seen"

    def forward(self, params, x, ctx):
        self.masks[0].append(ctx.mask)
        return x, None

    def backward(self, params, saved, dy, ctx):
        return dy, {}


def test_a_mask_goes_through_layers_to_whatever_ends_it():
    first, inside, last, end = (Seen(([],)) for _ in range(4))
    block = Residual((first, LayerNorm(), inside))
    model = Sequential((Masking(), block, TransformerBlock(2), last, GRU(4), end))
    x = drawn(3, 5, 4)
    x[0, 3:] = x[1, 1] = 0
    expected = np.ones((3, 5), bool)
    expected[0, 3:] = expected[1, 1] = False
    _, _, mask = model.run(started(model, (5, 4)), x, TRAINING)
    for seen in (first, inside, last):
        np.testing.assert_array_equal(seen.masks[0][0], expected)
    assert end.masks[0] == [None] and mask is None


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_padding_changes_nothing(causal, sequences):
    block = TransformerBlock(2, causal, rotary=True)
    head = LSTM(3, sequences=sequences)
    model = Sequential(
        (Embedding(9, 4, padding=0), LearnedPositions(), block, Residual((LayerNorm(),)), head)
    )
    params = started(model, (7,))
    words = np.random.default_rng(3).integers(1, 9, (5, 4))
    padded = np.concatenate([words, np.zeros((5, 3), int)], axis=1)
    dy = drawn(*((5, 4, 3) if sequences else (5, 3)), seed=4)
    y, _, grads = run(model, params, words, dy)
    if sequences:
        dy = np.concatenate([dy, np.zeros((5, 3, 3))], axis=1)
    long, _, same = run(model, params, padded, dy)
    np.testing.assert_allclose(long[:, :4] if sequences else long, y, rtol=1e-12, atol=1e-13)
    expected = nested(grads)
    for name, gradient in nested(same).items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-12, atol=1e-12)


def test_a_tied_embedding_masks_its_padding():
    layer = TiedEmbedding(9, 4, 0, layers=(TransformerBlock(2, causal=False),))
    params = started(layer, (4,))
    words = np.array([[3, 5, 1], [8, 8, 2]])
    y, _ = layer.forward(params, words, TRAINING)
    long, _ = layer.forward(params, np.concatenate([words, [[0], [0]]], axis=1), TRAINING)
    np.testing.assert_allclose(long[:, :3], y, rtol=1e-12, atol=1e-13)


@dataclass(frozen=True)
class Watch(Layer):
    """Keeps a copy of what it gets; on the way back tells whether the copies that came later are gone."""

    born: tuple[list, ...] = ([],)
    gone: tuple[list, ...] = ([],)
    kind: ClassVar[str] = "watch"

    def forward(self, params, x, ctx):
        copy = x.copy()
        self.born[0].append(weakref.ref(copy))
        return x, copy

    def backward(self, params, saved, dy, ctx):
        own = next(i for i, ref in enumerate(self.born[0]) if ref() is saved)
        self.gone[0].append([ref() is None for ref in self.born[0][own + 1 :]])
        return dy, {}


@pytest.mark.parametrize("consume", [False, True])
def test_backward_lets_go_of_what_is_given_away(consume):
    watch = Watch(([],), ([],))
    model = Sequential((watch, watch, Sequential((watch, Tanh())), Residual((watch,)), watch))
    ctx = replace(TRAINING, consume=consume)
    y, saved = model.forward({}, drawn(3, 4), ctx)
    model.backward({}, saved, y, ctx)
    assert [len(gone) for gone in watch.gone[0]] == [0, 1, 2, 3, 4]
    assert all(all(gone) if consume else not any(gone) for gone in watch.gone[0] if gone)
    assert not arrays(saved) if consume else arrays(saved)


def test_nothing_is_kept_where_there_is_no_backward():
    model = Sequential((Dense(3), Residual((Dense(3), Tanh())), TransformerBlock(1)))
    params, x = started(model, (2, 3)), drawn(4, 2, 3)
    _, saved, _ = model.run(params, x, replace(TRAINING, backward=False))
    assert not arrays(saved)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pool", [MaxPool(), MaxPool(3, stride=2, padding=1)], ids=["plain", "padded"])
@pytest.mark.parametrize("channels", [3, 16])
def test_a_rectifier_moves_behind_a_max_pool_and_gives_the_same(dtype, pool, channels):
    model = Sequential((ReLU(), pool, Flatten()))
    assert [operation.layer for operation in operations(model)] == [pool, ReLU(), Flatten()]
    x = drawn(3, 6, 5, channels).astype(dtype)
    x[0] = -abs(x[0])  # windows in which nothing is above zero
    x[1] = np.round(x[1])  # and some in which the largest value is there twice
    y, dx, _ = run(model, {}, x, dy := drawn(*model.forward({}, x, TRAINING)[0].shape).astype(dtype))
    rectified, kept = ReLU().forward({}, x, TRAINING)
    pooled, where = pool.forward({}, rectified, TRAINING)
    np.testing.assert_array_equal(y, pooled.reshape(y.shape))
    d_pool, _ = pool.backward({}, where, dy.reshape(pooled.shape), TRAINING)
    np.testing.assert_array_equal(dx, ReLU().backward({}, kept, d_pool, TRAINING)[0])


RECTIFYING = {
    "dense": (Dense(40), (33, 40)),
    "winograd": (Conv2d(16, padding="same"), (3, 6, 7, 16)),
    "few taps": (Conv2d(16, (1, 3), padding="same"), (3, 4, 5, 16)),
    "gathered": (Conv2d(5, padding="same"), (3, 4, 5, 5)),
    "conv1d": (Conv1d(5, padding="causal"), (3, 6, 5)),
}


@pytest.mark.parametrize("layers", [(0, 1), (1, 2), (0, 1, 2), (1, 2, 1), (0, 2, 1, 2, 0)])
@pytest.mark.parametrize("cores", [1, 2], ids=["kernel", "blas"])
@pytest.mark.parametrize("kind", RECTIFYING)
def test_a_layer_does_the_work_of_rectifiers_beside_it(kind, layers, cores):
    """0 and 2 are such layers, 1 a rectifier: the bits are those of layers that do not know each other."""
    layer, shape = RECTIFYING[kind]
    model = Sequential(tuple(ReLU() if number == 1 else layer for number in layers))
    params = convert(started(model, shape[1:]), np.ndarray, lambda p: p.astype(np.float32))
    x, dy = np.random.default_rng(3).standard_normal((2, *shape)).astype(np.float32)
    with blas.limit_threads(cores):
        y, saved = model.forward(params, x, TRAINING)
        found = model.backward(params, saved, dy, TRAINING)
        apart, kept = x, []
        for i, layer in enumerate(model.layers):
            apart, keep = layer.forward(params.get(str(i), {}), apart, TRAINING)
            kept.append(keep)
        np.testing.assert_array_equal(y, apart)
        dx, grads = dy, {}
        for i in reversed(range(len(layers))):
            dx, grads[str(i)] = model.layers[i].backward(params.get(str(i), {}), kept[i], dx, TRAINING)
    np.testing.assert_array_equal(found[0], dx)
    for own, expected in zip(leaves(found[1]), leaves({k: grads[k] for k in found[1]}), strict=True):
        np.testing.assert_array_equal(own, expected)


def test_a_tied_embedding_sums_the_gradients_of_both_uses():
    inner = (LearnedPositions(), TransformerBlock(2), LayerNorm())
    tied = TiedEmbedding(7, 4, layers=inner)
    apart = Sequential((Embedding(7, 4), *inner, Dense(7, bias=False)))
    params, x, dy = started(tied, (5,)), np.random.default_rng(0).integers(0, 7, (3, 5)), drawn(3, 5, 7)
    table = params["weight"]
    between = {str(i + 1): params[str(i)] for i in range(3)}
    y, _, grads = run(tied, params, x, dy)
    untied = {"0": {"weight": table}, **between, "4": {"weight": table.T}}
    expected, _, found = run(apart, untied, x, dy)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    total = found["0"]["weight"] + found["4"]["weight"].T
    np.testing.assert_allclose(grads["weight"], total, rtol=1e-12, atol=1e-13)
    assert abs(found["0"]["weight"]).max() > 1e-3 and abs(found["4"]["weight"]).max() > 1e-3
