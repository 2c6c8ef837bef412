"""The table of fusions: each is really applied, and gives the bits of the operations that it stands for."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from device import convert, leaves

from daskpar.backend import blas
from daskpar.nn import (
    Context,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from daskpar.nn.chain import DenseChain
from daskpar.nn.fusion import fuse
from daskpar.nn.fusions import FUSIONS, fused, reordered
from daskpar.nn.operations import Flow, backward, forward

CTX = Context(training=True, seed=1, step=2, row=3)
CONV, WIDE = Conv2d(16, padding="same"), (6, 7, 16)


@dataclass(frozen=True)
class Case:
    """Layers that a fusion is for, the shape of an example, and the operations that it leaves."""

    layers: tuple
    shape: tuple
    becomes: tuple


REORDERED = "a ReLU moves behind a max-pool"
OUTPUT = "a layer rectifies its output"
GRADIENT = "a layer rectifies the gradient of its input"
AROUND = "dense layers around a ReLU are one"
IN_A_ROW = "dense layers in a row are one"

CASES = [
    (REORDERED, Case((CONV, ReLU(), MaxPool(), Flatten()), WIDE, ("conv2d", "max_pool", "relu", "flatten"))),
    (REORDERED, Case((ReLU(), ReLU(), MaxPool()), WIDE, ("relu", "max_pool", "relu"))),
    (REORDERED, Case((ReLU(), MaxPool(), MaxPool()), WIDE, ("max_pool", "max_pool", "relu"))),
    (OUTPUT, Case((CONV, ReLU()), WIDE, ("Rectified", "DoneReLU"))),
    (OUTPUT, Case((Conv1d(5), ReLU()), (6, 5), ("Rectified", "DoneReLU"))),
    (OUTPUT, Case((Tanh(), Dense(5), ReLU(), Tanh()), (6,), ("tanh", "Rectified", "DoneReLU", "tanh"))),
    (GRADIENT, Case((ReLU(), CONV), WIDE, ("DoneReLU", "Rectified"))),
    (GRADIENT, Case((ReLU(), ReLU(), Dense(5)), (6,), ("relu", "DoneReLU", "Rectified"))),
    (AROUND, Case((Dense(40), ReLU(), Dense(5)), (33,), ("DenseChain",))),
    (AROUND, Case((Dense(40), ReLU(), Dense(5), ReLU(), Dense(3)), (33,), ("DenseChain",))),
    (IN_A_ROW, Case((Dense(40), Dense(5, bias=False), Dense(3)), (33,), ("DenseChain",))),
]


def names(program):
    """Kinds of layers, and class names of those that only fusions make."""
    return tuple(
        operation.layer.kind if operation.layer.kind != "layer" else type(operation.layer).__name__
        for operation in program
    )


def run(program, params, x, dy, ctx=CTX):
    """(y, dx, gradients) of a program."""
    span = 0, len(program)
    flow, saved = forward(program, span, params, Flow(x), ctx)
    back, grads = backward(program, span, params, saved, Flow(dy), ctx, first=-1)
    return flow.x, back.x, grads


def drawn(model, shape, dtype=np.float32, rows=2):
    """Parameters, an input with values below, above and at zero, and the gradient of an output."""
    rng = np.random.default_rng(0)
    params, out_shape = model.init(rng, shape)
    params = convert(params, np.ndarray, lambda p: (p + 0.1 * rng.standard_normal(p.shape)).astype(dtype))
    x = np.round(2 * rng.standard_normal((rows, *shape))).astype(dtype)
    return params, x, rng.standard_normal((rows, *out_shape)).astype(dtype)


def assert_same(one, other):
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    for name in {*one[2], *other[2]}:
        pairs = zip(leaves(one[2].get(name, {})), leaves(other[2].get(name, {})), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_array_equal(mine, theirs)


def test_every_fusion_of_the_table_has_a_case():
    assert {name for name, _ in CASES} == {fusion.name for fusion in FUSIONS}


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, case", CASES, ids=[f"{name} {i}" for i, (name, _) in enumerate(CASES)])
def test_a_fusion_is_applied_and_gives_the_same_bits(name, case, dtype, cores):
    model = Sequential(case.layers)
    plain = model.children()
    tables = [fusion for fusion in FUSIONS if fusion.name == name or name in (AROUND, IN_A_ROW)]
    program = fuse(plain, tables)
    assert names(program) == case.becomes
    params, x, dy = drawn(model, case.shape, dtype)
    with blas.limit_threads(cores):
        expected = run(plain, params, x, dy)
        assert_same(run(program, params, x, dy), expected)
        assert_same(run(model.program, params, x, dy), expected)


def test_a_chain_is_one_call_where_it_is_worth_one(monkeypatch):
    calls = []
    whole = DenseChain.forward
    monkeypatch.setattr(DenseChain, "forward", lambda *args: calls.append(args[2].ndim) or whole(*args))
    layers = (Dense(40), ReLU(), Dense(5))
    flat, sequences = Sequential(layers), Sequential(layers)
    params, x, dy = drawn(flat, (33,))
    with blas.limit_threads(1):
        run(flat.program, params, x, dy)
        assert calls == [2]
        run(sequences.program, params, np.stack([x, x]), np.stack([dy, dy]))
    with blas.limit_threads(2):
        run(flat.program, params, x, dy)
    assert calls == [2]


@pytest.mark.parametrize("forward_cores, backward_cores", [(1, 2), (2, 1)])
def test_a_chain_may_be_fused_one_way_only(forward_cores, backward_cores):
    model = Sequential((Dense(40), ReLU(), Dense(20), Dense(5), ReLU()))
    params, x, dy = drawn(model, (33,))
    with blas.limit_threads(1):
        expected = run(model.children(), params, x, dy)
    with blas.limit_threads(forward_cores):
        y, saved = model.forward(params, x, CTX)
    with blas.limit_threads(backward_cores):
        dx, grads = model.backward(params, saved, dy, CTX)
    np.testing.assert_allclose(y, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, expected[1], rtol=1e-4, atol=1e-5)
    assert grads.keys() == expected[2].keys()


def test_a_chain_writes_into_spaces_and_leaves_out_a_dx_that_nobody_needs():
    model = Sequential((Flatten(), Dense(40), ReLU(), Dense(5)))
    params, x, dy = drawn(model, (3, 11))
    out = convert(params, np.ndarray, np.empty_like)
    with blas.limit_threads(1):
        _, saved = model.forward(params, x, CTX)
        dx, grads = model.backward(params, saved, dy, replace(CTX, out=out, input_gradient=False))
    assert dx is None
    for i in ("1", "3"):
        assert grads[i]["weight"] is out[i]["weight"] and grads[i]["bias"] is out[i]["bias"]


def test_fusion_ends_where_a_branch_or_another_layer_begins():
    block = Residual((Dense(4), ReLU()))
    assert names(block.program) == ("residual", "Rectified", "DoneReLU", "residual")
    block = Residual((Dense(4), ReLU()), shortcut=(ReLU(), Dense(4)), remat=True)
    assert names(block.program)[:3] == ("residual", "sequential", "residual")
    assert names(block.program)[3:] == ("DoneReLU", "Rectified", "residual")
    model = Sequential((Dense(4), ReLU(), Dropout(0.1), Dense(4), Residual((ReLU(), Dense(4)))))
    assert names(model.program) == ("Rectified", "DoneReLU", "dropout", "dense", "residual")


class Loud(Dense):
    """A user's own dense layer, which computes something else."""

    def forward(self, params, x, ctx):
        y, saved = super().forward(params, x, ctx)
        return 2 * y, saved

    def backward(self, params, saved, dy, ctx):
        return super().backward(params, saved, 2 * dy, ctx)


class Leaky(ReLU):
    """A user's own activation that inherits from ReLU."""

    def forward(self, params, x, ctx):
        return np.where(x > 0, x, 0.1 * x), x


def test_layers_that_override_others_are_not_fused_as_these():
    for layers in ((Loud(4), ReLU(), Loud(4)), (Dense(4), Leaky(), Dense(4)), (Leaky(), MaxPool())):
        model = Sequential(layers)
        assert model.program == model.children()
    assert names(fused(Sequential((ConvTranspose2d(3), ReLU())).children())) == ("conv_transpose2d", "relu")


def test_a_program_that_is_cut_later_is_only_reordered():
    model = Sequential((Dense(4), ReLU(), Dense(4), ReLU()))
    assert reordered(model.children()) == model.children()
    model = Sequential((CONV, ReLU(), MaxPool()))
    assert [operation.path for operation in reordered(model.children())] == [(0,), (2,), (1,)]


def test_a_program_is_fused_once_a_model():
    model = Sequential((Dense(4), ReLU()))
    assert model.program is model.program
