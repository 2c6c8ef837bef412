"""One table drives the tests of every layer. A new layer is a new line."""

import math
import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from device import DeviceArray, convert, download, leaves, upload, without, xp
from layer_rows import TABLE

from daskpar.nn import (
    GELU,
    Context,
    Dense,
    Dropout,
    Layer,
    ParameterTable,
    ReLU,
    Repeat,
    Sigmoid,
    SiLU,
    Tanh,
)
from daskpar.nn.parameters import collect
from daskpar.nn.registry import LAYERS

ROWS = 7


class Case(NamedTuple):
    layer: Layer
    shape: tuple[int, ...]
    seed: int
    training: bool
    words: int | None
    alone: bool
    codes: tuple[int, int] | None = None

    @property
    def ctx(self) -> Context:
        return Context(self.training, seed=3, step=5, row=11, path=(2,))

    def arrays(self, dtype):
        """Parameters (biases not zero), the shape of an output, an input and the gradient of an output."""
        rng = np.random.default_rng(self.seed)
        params, out_shape = self.layer.init(rng, self.shape)
        params = convert(params, np.ndarray, lambda p: (p + 0.1 * rng.standard_normal(p.shape)).astype(dtype))
        x, dy = (rng.standard_normal((ROWS, *s)).astype(dtype) for s in (self.shape, out_shape))
        if self.words is not None:
            x = rng.integers(0, self.words, x.shape).astype(np.int32)
        if self.codes is not None:
            columns, below = self.codes
            x[:, -columns:] = rng.integers(0, below, (ROWS, columns))
        return params, out_shape, x, dy


@pytest.fixture(params=TABLE, ids=lambda row: row.name)
def row(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["training", "not training"])
def case(request, row):
    alone = row.alone or not request.param
    return Case(
        row.layer, row.shape, zlib.crc32(row.name.encode()), request.param, row.words, alone, row.codes
    )


def run(case, params, x, dy, ctx=None):
    """One pass: (y, saved, dx, grads)."""
    ctx = case.ctx if ctx is None else ctx
    y, saved = case.layer.forward(params, x, ctx)
    return (y, saved, *case.layer.backward(params, saved, dy, ctx))


def flat(tree, prefix=""):
    """The arrays of nested dicts by full name."""
    found = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def arrays(tree):
    return [leaf for leaf in leaves(tree) if isinstance(leaf, np.ndarray | DeviceArray)]


def assert_same(one, other):
    one, other = list(leaves(one)), list(leaves(other))
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        np.testing.assert_array_equal(a, b)


def read_only(*trees):
    for array in arrays(trees):
        array.flags.writeable = False
    return convert(trees, np.ndarray, np.copy)


def test_every_registered_layer_is_in_the_table():
    assert set(LAYERS.values()) <= {type(row.layer) for row in TABLE} | {Repeat}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(case, dtype):
    params, out_shape, x, dy = case.arrays(dtype)
    y, _, dx, grads = run(case, params, x, dy)
    assert y.shape == (ROWS, *out_shape)
    assert dx is None if case.words else dx.shape == x.shape
    assert {n: g.shape for n, g in flat(grads).items()} == {n: p.shape for n, p in flat(params).items()}
    for array in arrays((y, dx, grads)):
        assert array.dtype == dtype


def test_float32_stays_float32(case):
    params, _, x, dy = case.arrays(np.float32)
    for array in arrays(run(case, params, x, dy)):
        assert array.dtype in (np.float32, np.bool_) or array.dtype.kind in "iu"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_not_written_to(case, dtype):
    params, _, x, dy = case.arrays(dtype)
    before = read_only(params, x)
    _, saved = case.layer.forward(params, x, case.ctx)
    assert_same((params, x), before)
    before = read_only(params, saved, dy)
    _, grads = case.layer.backward(params, saved, dy, case.ctx)
    assert_same((params, saved, dy), before)
    for gradient in arrays(grads):
        assert not any(np.shares_memory(gradient, a) for a in arrays((params, saved, dy)))


def test_a_pass_can_be_repeated(case):
    params, _, x, dy = case.arrays(np.float32)
    assert_same(run(case, params, x, dy), run(case, params, x, dy))


def test_gradients(case):
    params, _, x, dy = case.arrays(np.float64)
    _, _, dx, grads = run(case, params, x, dy)

    def slopes(array):
        """Central differences of Σ y·dy; `array` is put back as it was."""
        found, step = np.empty(array.size), 1e-5
        elements = array.reshape(-1)
        for i, value in enumerate(elements.copy()):
            sides = []
            for moved in (value + step, value - step):
                elements[i] = moved
                sides.append(np.sum(case.layer.forward(params, x, case.ctx)[0] * dy))
            elements[i] = value
            found[i] = (sides[0] - sides[1]) / (2 * step)
        return found.reshape(array.shape)

    checked = [(n, p, flat(grads)[n]) for n, p in flat(params).items() if ".running_" not in f".{n}"]
    if not case.words:
        checked.append(("x", x, dx))
    for name, array, gradient in checked:
        expected = slopes(array)
        error = np.max(np.abs(gradient - expected)) / max(np.max(np.abs(expected)), 1e-3)
        assert error < 1e-6, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("cuts", [(3, 4), (1, 2, 3, 4, 5, 6)], ids=str)
def test_rows_in_pieces_are_the_whole(case, cuts):
    params, _, x, dy = case.arrays(np.float64)
    y, _, dx, grads = run(case, params, x, dy)
    starts = (0, *cuts)
    pieces = [
        run(case, params, a, b, replace(case.ctx, row=case.ctx.row + start))
        for start, a, b in zip(starts, np.split(x, cuts), np.split(dy, cuts), strict=True)
    ]
    joined = np.concatenate([p[0] for p in pieces])
    if not case.alone:  # while training, rows of a chunk share its statistics
        assert not np.allclose(joined, y, rtol=1e-3)
        return
    np.testing.assert_allclose(joined, y, rtol=1e-12, atol=1e-13)
    if not case.words:
        np.testing.assert_allclose(np.concatenate([p[2] for p in pieces]), dx, rtol=1e-12, atol=1e-13)
    for name, gradient in flat(grads).items():
        total = sum(flat(p[3])[name] for p in pieces)
        np.testing.assert_allclose(total, gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("reference_kernels")
@pytest.mark.parametrize("module", [np, xp], ids=["numpy", "device"])
def test_gradients_are_written_where_they_are_told(case, module):
    params, _, x, dy = case.arrays(np.float32)
    grads = run(case, params, x, dy)[3]
    table = ParameterTable.of(params)
    buffer = module.zeros(table.size, dtype=np.float32)
    out = table.views(buffer)
    if module is xp:
        params, x, dy = upload(params), upload(x), upload(dy)
    collect(run(case, params, x, dy, replace(case.ctx, out=out))[3], out)
    assert_same(download(buffer), table.flatten(grads, np.float32))


def test_no_input_gradient_where_nobody_needs_it(case):
    params, _, x, dy = case.arrays(np.float32)
    _, _, dx, grads = run(case, params, x, dy)
    _, _, none, same = run(case, params, x, dy, replace(case.ctx, input_gradient=False))
    assert_same(flat(same), flat(grads))
    assert none is None or np.array_equal(none, dx)


@pytest.mark.usefixtures("reference_kernels")
@pytest.mark.parametrize("dtype, other", [(np.float32, np.float64), (np.float64, np.float32)])
def test_chunks_stay_on_their_device_in_their_dtype(case, dtype, other):
    params, _, x, dy = case.arrays(dtype)
    expected = run(case, params, x, dy)
    with without(other):
        results = run(case, upload(params), upload(x), upload(dy))
    assert not [leaf for leaf in leaves(results) if isinstance(leaf, np.ndarray | np.generic)]
    assert_same(download(results), expected)


X = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]])
FORMULAS = [
    (ReLU(), lambda x: max(x, 0.0)),
    (Tanh(), lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x))),
    (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    (SiLU(), lambda x: x / (1 + math.exp(-x))),
    (GELU(), lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
]


@pytest.mark.parametrize("layer, formula", FORMULAS, ids=lambda v: getattr(v, "kind", ""))
def test_activations_are_their_formulas(layer, formula):
    y, _ = layer.forward({}, X, Context())
    np.testing.assert_allclose(y, [[formula(x) for x in X[0]]], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("layer", [layer for layer, _ in FORMULAS], ids=lambda v: v.kind)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_overflow_nowhere(layer, dtype):
    x = np.array([[-1e4, -100, 100, 1e4]], dtype)
    y, saved = layer.forward({}, x, Context())
    dx, _ = layer.backward({}, saved, np.ones_like(y), Context())
    assert np.isfinite(y).all() and np.isfinite(dx).all()


def test_dense_is_its_formula():
    params = {"weight": np.array([[1.0, 2, 3], [4, 5, 6]]), "bias": np.array([10.0, 20, 30])}
    y, _ = Dense(3).forward(params, np.array([[1.0, -1]]), Context())
    assert y.tolist() == [[7.0, 17.0, 27.0]]


def test_dense_spares_a_copy_and_what_nobody_needs():
    params, _ = Dense(3).init(np.random.default_rng(0), (2,))
    out = convert(params, np.ndarray, np.zeros_like)
    ctx = Context(out=out, input_gradient=False)
    dx, grads = Dense(3).backward(params, np.ones((4, 2)), np.ones((4, 3)), ctx)
    assert dx is None
    assert grads["weight"] is out["weight"] and grads["bias"] is out["bias"]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    x = np.ones((400, 500))
    y, _ = Dropout(rate).forward({}, x, Context(training=True))
    dropped = np.mean(y == 0)
    assert abs(dropped - rate) < 5 * math.sqrt(rate * (1 - rate) / x.size)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=2e-4)  # a rate is held to 1/65536


def test_dropout_leaves_what_is_not_training():
    x = np.ones((4, 5))
    assert Dropout(0.5).forward({}, x, Context())[0] is x


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}, {"path": (1,)}, {"row": 20}], ids=str)
def test_dropout_of_another_pass_is_another_mask(change):
    x, ctx = np.ones((20, 30)), Context(training=True)
    one, other = (Dropout(0.5).forward({}, x, c)[0] for c in (ctx, replace(ctx, **change)))
    assert 0.4 < np.mean(one == other) < 0.6
