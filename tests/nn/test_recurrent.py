"""Recurrent layers: cells by hand, masks, directions, and that they learn."""

from dataclasses import replace
from itertools import pairwise
from math import exp, tanh

import numpy as np
import pytest
from device import download, upload, without
from hypothesis import given, settings, strategies as st

from daskpar.errors import InputError
from daskpar.nn import Context, Dense, Sequential
from daskpar.nn.layers.gru import GRU
from daskpar.nn.layers.lstm import LSTM
from daskpar.nn.layers.masking import Masking
from daskpar.nn.layers.recurrent import orthogonal
from daskpar.nn.layers.simple_rnn import SimpleRNN

KINDS = [SimpleRNN, LSTM, GRU]
EVERY = [
    *(kind(3, sequences=s, reverse=r) for kind in KINDS for s in (False, True) for r in (False, True)),
    SimpleRNN(3, sequences=True, activation="relu"),
    GRU(3, sequences=True, bias=False),
    LSTM(3, bias=False),
]
MASK = np.array(
    [
        [True, True, True, True, True],
        [True, True, False, False, False],
        [False, False, True, True, True],
        [True, False, True, False, True],
        [False, False, False, False, False],
    ]
)


def sigmoid(a):
    return 1 / (1 + exp(-a))


def started(layer, in_shape, seed=0, dtype=np.float64):
    """Parameters, none of them zero."""
    rng = np.random.default_rng(seed)
    params, _ = layer.init(rng, in_shape)
    return {n: (p + 0.1 * rng.standard_normal(p.shape)).astype(dtype) for n, p in params.items()}


def drawn(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def cell(layer, params, x, h, c):
    """One position of one example, number by number."""
    units, gates = layer.units, layer.gates
    bias, candidate_bias = params.get("bias", np.zeros(gates * units)), params.get("candidate_bias")
    into = [bias[j] + sum(x[k] * params["weight"][k, j] for k in range(len(x))) for j in range(gates * units)]
    back = [sum(h[k] * params["recurrent"][k, j] for k in range(units)) for j in range(gates * units)]
    new, cells = [], []
    for u in range(units):
        a = [into[g * units + u] for g in range(gates)]
        b = [back[g * units + u] for g in range(gates)]
        if isinstance(layer, SimpleRNN):
            new.append(tanh(a[0] + b[0]) if layer.activation == "tanh" else max(a[0] + b[0], 0.0))
        elif isinstance(layer, LSTM):
            i, f, o = (sigmoid(a[g] + b[g]) for g in (0, 1, 3))
            cells.append(f * c[u] + i * tanh(a[2] + b[2]))
            new.append(o * tanh(cells[u]))
        else:
            r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
            n = tanh(a[2] + r * (b[2] + (0.0 if candidate_bias is None else candidate_bias[u])))
            new.append((1 - z) * n + z * h[u])
    return new, cells


def by_hand(layer, params, x, mask=None):
    """What `layer` gives for `x`, one cell after the other."""
    outputs = np.zeros((*x.shape[:2], layer.units))
    for row in range(x.shape[0]):
        h, c = [0.0] * layer.units, [0.0] * layer.units
        order = range(x.shape[1])
        for t in reversed(order) if layer.reverse else order:
            if mask is None or mask[row, t]:
                h, c = cell(layer, params, x[row, t], h, c)
            outputs[row, t] = h
    return outputs if layer.sequences else outputs[:, 0 if layer.reverse else -1]


def test_a_simple_cell_in_numbers():
    params = {
        "weight": np.array([[0.5], [-1.0]]),
        "recurrent": np.array([[0.25]]),
        "bias": np.array([0.1]),
    }
    x = np.array([[[1.0, 2.0], [3.0, 0.5]]])
    first = tanh(0.5 * 1 - 1 * 2 + 0.1)
    second = tanh(0.5 * 3 - 1 * 0.5 + 0.25 * first + 0.1)
    y, _ = SimpleRNN(1, sequences=True).forward(params, x, Context())
    np.testing.assert_allclose(y, [[[first], [second]]], rtol=1e-14)


def test_an_lstm_cell_in_numbers():
    params = {
        "weight": np.array([[0.5, -0.5, 1.0, 2.0]]),
        "recurrent": np.array([[0.1, 0.2, 0.3, 0.4]]),
        "bias": np.array([0.0, 1.0, -1.0, 0.5]),
    }
    c1 = sigmoid(0.5 * 2) * tanh(2 - 1)
    h1 = sigmoid(2 * 2 + 0.5) * tanh(c1)
    i, f = sigmoid(0.5 * 3 + 0.1 * h1), sigmoid(-0.5 * 3 + 0.2 * h1 + 1)
    g, o = tanh(3 + 0.3 * h1 - 1), sigmoid(2 * 3 + 0.4 * h1 + 0.5)
    h2 = o * tanh(f * c1 + i * g)
    y, _ = LSTM(1, sequences=True).forward(params, np.array([[[2.0], [3.0]]]), Context())
    np.testing.assert_allclose(y, [[[h1], [h2]]], rtol=1e-14)


def test_a_gru_cell_in_numbers():
    params = {
        "weight": np.array([[0.5, -0.5, 1.0]]),
        "recurrent": np.array([[0.1, 0.2, 0.3]]),
        "bias": np.array([0.25, 1.0, -1.0]),
        "candidate_bias": np.array([0.75]),
    }
    r, z = sigmoid(0.5 * 2 + 0.25), sigmoid(-0.5 * 2 + 1)
    h1 = (1 - z) * tanh(2 - 1 + r * 0.75)
    r, z = sigmoid(0.5 * 3 + 0.1 * h1 + 0.25), sigmoid(-0.5 * 3 + 0.2 * h1 + 1)
    h2 = (1 - z) * tanh(3 - 1 + r * (0.3 * h1 + 0.75)) + z * h1
    y, _ = GRU(1, sequences=True).forward(params, np.array([[[2.0], [3.0]]]), Context())
    np.testing.assert_allclose(y, [[[h1], [h2]]], rtol=1e-14)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.sampled_from(KINDS),
    *(st.integers(1, 5) for _ in range(4)),
    *(st.booleans() for _ in range(4)),
    st.integers(0, 2**31),
)
def test_any_shape_is_the_cell_again_and_again(
    kind, rows, positions, features, units, sequences, bias, reverse, masked, seed
):
    layer = kind(units, sequences=sequences, bias=bias, reverse=reverse)
    params, x = started(layer, (positions, features), seed), drawn(rows, positions, features, seed=seed)
    mask = np.random.default_rng(seed).random((rows, positions)) < 0.6 if masked else None
    y, _, onward = layer.run(params, x, Context(mask=mask))
    np.testing.assert_allclose(y, by_hand(layer, params, x, mask), rtol=1e-12, atol=1e-13)
    assert onward is (mask if sequences else None)


@pytest.mark.parametrize("layer", EVERY, ids=str)
def test_gradients_under_a_mask(layer):
    params, x = started(layer, (5, 2)), drawn(5, 5, 2)
    ctx = Context(mask=MASK)
    y, saved = layer.forward(params, x, ctx)
    dy = drawn(*y.shape, seed=2)
    dx, grads = layer.backward(params, saved, dy, Context())
    assert not dx[~MASK].any()
    for array, gradient in [(x, dx), *((params[n], g) for n, g in grads.items())]:
        expected, step = np.empty(array.size), 1e-5
        elements = array.reshape(-1)
        for k, value in enumerate(elements.copy()):
            sides = []
            for moved in (value + step, value - step):
                elements[k] = moved
                sides.append(np.sum(layer.forward(params, x, ctx)[0] * dy))
            elements[k] = value
            expected[k] = (sides[0] - sides[1]) / (2 * step)
        error = np.max(np.abs(gradient.reshape(-1) - expected)) / np.max(np.abs(expected))
        assert error < 1e-6


@pytest.mark.parametrize("layer", EVERY, ids=str)
@pytest.mark.parametrize("left", [False, True], ids=["right padding", "left padding"])
def test_a_padded_sequence_is_the_short_one(layer, left):
    params, short = started(layer, (3, 2)), drawn(4, 3, 2)
    real = slice(2, 5) if left else slice(0, 3)
    x, mask = np.full((4, 5, 2), np.nan), np.zeros((4, 5), bool)
    x[:, real], mask[:, real] = short, True
    y, saved = layer.forward(params, x, Context(mask=mask))
    expected, saved_short = layer.forward(params, short, Context())
    dy = drawn(*y.shape, seed=2)
    dy_short = dy
    if layer.sequences:
        np.testing.assert_allclose(y[:, real], expected, rtol=1e-13)
        starts = not layer.reverse if left else layer.reverse  # whether the padding comes first in time
        carried = 0 if starts else expected[:, [0 if layer.reverse else -1]]
        np.testing.assert_array_equal(y[:, ~mask[0]], np.broadcast_to(carried, (4, 2, 3)))
        dy_short = dy[:, real].copy()
        if not starts:  # the output goes on, and so do its gradients
            dy_short[:, 0 if layer.reverse else -1] += dy[:, ~mask[0]].sum(axis=1)
    else:
        np.testing.assert_allclose(y, expected, rtol=1e-13)
    dx, grads = layer.backward(params, saved, dy, Context())
    dx_short, grads_short = layer.backward(params, saved_short, dy_short, Context())
    np.testing.assert_array_equal(dx[~mask], 0)
    np.testing.assert_allclose(dx[:, real], dx_short, rtol=1e-11, atol=1e-13)
    for name, gradient in grads_short.items():
        np.testing.assert_allclose(grads[name], gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("layer", EVERY, ids=str)
def test_a_mask_that_is_all_true_changes_nothing(layer):
    params, x = started(layer, (5, 2)), drawn(3, 5, 2)
    results = []
    for mask in (None, np.ones((3, 5), bool)):
        y, saved = layer.forward(params, x, Context(mask=mask))
        results.append((y, *layer.backward(params, saved, np.ones_like(y), Context())))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_equal(results[0][2], results[1][2])


@pytest.mark.parametrize("dtype, other", [(np.float32, np.float64), (np.float64, np.float32)])
@pytest.mark.parametrize("layer", EVERY, ids=str)
def test_masks_on_a_device_and_nothing_written_to(layer, dtype, other):
    params, x = started(layer, (5, 2), dtype=dtype), drawn(5, 5, 2, dtype=dtype)
    dy = drawn(*layer.forward(params, x, Context())[0].shape, dtype=dtype)

    def both(params, x, mask, dy):
        y, saved = layer.forward(params, x, Context(mask=mask))
        return (y, *layer.backward(params, saved, dy, Context()))

    for array in (*params.values(), x, dy):
        array.flags.writeable = False
    y, dx, grads = both(params, x, MASK, dy)
    assert y.dtype == dx.dtype == dtype and all(g.dtype == dtype for g in grads.values())
    with without(other):
        there = both(upload(params), upload(x), upload(MASK), upload(dy))
    np.testing.assert_equal(download(there), (y, dx, grads))


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_reverse_is_forward_on_the_sequence_turned_around(kind, sequences):
    ahead = kind(3, sequences=sequences)
    params, x = started(ahead, (4, 2)), drawn(5, 4, 2)
    y, _ = ahead.forward(params, x, Context())
    z, _ = replace(ahead, reverse=True).forward(params, x[:, ::-1], Context())
    np.testing.assert_allclose(z[:, ::-1] if sequences else z, y, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_state_is_the_last_of_all_states(kind):
    params, x = started(kind(3), (4, 2)), drawn(5, 4, 2)
    last, _ = kind(3).forward(params, x, Context())
    states, _ = kind(3, sequences=True).forward(params, x, Context())
    np.testing.assert_array_equal(last, states[:, -1])
    assert last.base is None  # nor does it keep the others in memory


def test_states_go_from_layer_to_layer_without_a_copy():
    layer = LSTM(3, sequences=True)
    y, _ = layer.forward(started(layer, (4, 2)), drawn(5, 4, 2), Context())
    assert y.transpose(1, 0, 2).flags.c_contiguous


@pytest.mark.parametrize("kind", KINDS)
def test_large_inputs_overflow_nowhere(kind):
    layer = kind(3, sequences=True)
    params, x = started(layer, (4, 2), dtype=np.float32), 1e6 * drawn(5, 4, 2, dtype=np.float32)
    y, saved = layer.forward(params, x, Context())
    dx, grads = layer.backward(params, saved, np.ones_like(y), Context())
    assert all(np.isfinite(array).all() for array in (y, dx, *grads.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_it_spares_copies_and_what_nobody_needs(kind):
    params, x = started(kind(3), (4, 2)), drawn(5, 4, 2)
    out = {name: np.zeros_like(value) for name, value in params.items()}
    y, saved = kind(3).forward(params, x, Context())
    dx, grads = kind(3).backward(params, saved, y, Context(out=out, input_gradient=False))
    assert dx is None
    copied = {name for name, gradient in grads.items() if gradient is not out[name]}
    assert copied == ({"recurrent"} if kind is GRU else set())
    assert saved[0] is x


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_rows(kind):
    layer = kind(3, sequences=True)
    params = started(layer, (4, 2))
    y, saved = layer.forward(params, drawn(0, 4, 2), Context(mask=np.ones((0, 4), bool)))
    dx, grads = layer.backward(params, saved, y, Context())
    assert y.shape == (0, 4, 3) and dx.shape == (0, 4, 2)
    assert not any(gradient.any() for gradient in grads.values())


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_orthogonal(size):
    q = orthogonal(np.random.default_rng(0), size)
    np.testing.assert_allclose(q @ q.T, np.eye(size), atol=1e-13)


def test_orthogonal_favours_no_sign():
    signs = [orthogonal(np.random.default_rng(seed), 3)[0, 0] > 0 for seed in range(400)]
    assert 160 < sum(signs) < 240


@pytest.mark.parametrize("kind", KINDS)
def test_how_parameters_begin(kind):
    params, out = kind(40).init(np.random.default_rng(0), (7, 60))
    assert out == (40,)
    assert kind(40, sequences=True).init(np.random.default_rng(0), (7, 60))[1] == (7, 40)
    assert params["weight"].shape == (60, kind.gates * 40)
    np.testing.assert_allclose(np.var(params["weight"]), 2 / (60 + 40), rtol=0.05)  # a gate's own fan
    matrices = np.split(params["recurrent"], kind.gates, axis=1)
    for matrix in matrices:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(40), atol=1e-13)
    assert not any(np.array_equal(a, b) for a, b in pairwise(matrices))
    if kind is not LSTM:
        assert not params["bias"].any()
    assert set(kind(4, bias=False).init(np.random.default_rng(0), (7, 6))[0]) == {"weight", "recurrent"}


@pytest.mark.parametrize("forget, layer", [(1.0, LSTM(2)), (0.0, LSTM(2, forget_bias=0.0))])
def test_the_forget_gate_begins_open(forget, layer):
    params, _ = layer.init(np.random.default_rng(0), (3, 1))
    assert params["bias"].tolist() == [0, 0, forget, forget, 0, 0, 0, 0]


def test_flops_are_those_of_the_products():
    assert SimpleRNN(3).flops((5, 2), (3,)) == 2 * 5 * (2 + 3) * 3
    assert LSTM(3).flops((5, 2), (3,)) == 4 * SimpleRNN(3).flops((5, 2), (3,))
    assert GRU(3).flops((5, 2), (3,)) == 3 * SimpleRNN(3).flops((5, 2), (3,))


@pytest.mark.parametrize("shape", [(4,), (), (3, 4, 2), (0, 2), (3, 0)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_sequence_is_refused(kind, shape):
    with pytest.raises(InputError, match=rf"{kind.kind}: expected .*\(positions, features\), got") as caught:
        kind(2).init(np.random.default_rng(0), shape)
    assert str(shape) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_that_make_no_sense_are_refused(kind):
    with pytest.raises(InputError, match=rf"{kind.kind}\.units=0 must be above zero"):
        kind(0)


def test_an_unknown_activation_is_refused():
    with pytest.raises(InputError, match=r"simple_rnn\.activation 'rleu' is not known; did you mean 'relu'"):
        SimpleRNN(2, activation="rleu")


@pytest.mark.parametrize("value", [0.0, -1.5, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masking_finds_the_positions_that_hold_nothing_but_its_value(value, dtype):
    x = np.array([[[1, value], [value, value]], [[value, 1], [value, value]], [[value] * 2] * 2], dtype)
    found = [[True, False], [True, False], [False, False]]
    y, _, mask = Masking(value).run({}, x, Context())
    assert y is x and mask.dtype == bool and mask.tolist() == found
    before = np.array([[False, True], [True, True], [True, True]])
    both = [[False, False], [True, False], [False, False]]
    assert Masking(value).mask(x, before).tolist() == both
    on_device = Masking(value).mask(upload(x), upload(before))
    assert download(on_device).tolist() == both


@pytest.mark.parametrize("shape", [(4,), (3, 4, 2)], ids=str)
def test_masking_refuses_what_is_no_sequence(shape):
    with pytest.raises(InputError, match=r"masking: expected .*\(positions, features\), got \("):
        Masking().init(np.random.default_rng(0), shape)


def test_a_mask_reaches_every_layer_that_it_should():
    model = Sequential(
        (Masking(), LSTM(3, sequences=True), GRU(4, sequences=True, reverse=True), SimpleRNN(2))
    )
    params, _ = model.init(np.random.default_rng(0), (5, 2))
    x = drawn(4, 5, 2)
    x[:, 3:] = 0
    y, saved, mask = model.run(params, x, Context())
    assert mask is None
    np.testing.assert_allclose(y, model.forward(params, x[:, :3], Context())[0], rtol=1e-13)
    dx, _ = model.backward(params, saved, np.ones_like(y), Context())
    assert not dx[:, 3:].any() and dx[:, :3].all()


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_to_remember_what_came_first(kind):
    """The first of eight to twelve numbers, told from the last state alone."""
    rng = np.random.default_rng(0)
    x, length = rng.choice([-1.0, 1.0], (256, 12, 1)), rng.integers(8, 13, 256)
    x[np.arange(12) >= length[:, None]] = 0
    model = Sequential((Masking(), kind(8), Dense(1, init_weight="glorot")))
    params, _ = model.init(np.random.default_rng(1), (12, 1))
    leaves = [(layer, name) for layer in params for name in params[layer]]
    speed = {leaf: 0.0 for leaf in leaves}
    seen, target = slice(0, 128), x[:, 0]

    def right(rows):
        return np.mean((model.forward(params, x[rows], Context())[0] > 0) == (target[rows] > 0))

    before = right(slice(None))
    for _ in range(300):
        y, saved = model.forward(params, x[seen], Context())
        _, grads = model.backward(params, saved, (y - target[seen]) / 128, Context(input_gradient=False))
        norm = np.sqrt(sum(np.sum(grads[layer][name] ** 2) for layer, name in leaves))
        for layer, name in leaves:
            speed[layer, name] = 0.9 * speed[layer, name] - 0.1 * min(1, 1 / norm) * grads[layer][name]
            params[layer][name] = params[layer][name] + speed[layer, name]
    assert before < 0.75
    assert right(slice(128, None)) == 1.0  # rows that it has not seen
