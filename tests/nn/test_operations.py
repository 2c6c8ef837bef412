"""One interpreter: a model is its operations one after the other, wherever it is cut and whoever wrote it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from device import convert, leaves

from daskpar import Layout, Trainer
from daskpar.autotune.summary import summarise
from daskpar.errors import InputError
from daskpar.nn import (
    BatchNorm,
    Context,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LearnedPositions,
    MaxPool,
    MeanSquaredError,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
)
from daskpar.nn.container import Container, around_shortcut, in_sequence, inline
from daskpar.nn.operations import Flow, backward, first_trained, forward, operations, parts
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.parts import count_layers

CTX = Context(training=True, seed=1, step=2, row=3)


@dataclass(frozen=True)
class Gated(Container):
    """A user's own container: layers around a shortcut, made of its own hyper-parameters."""

    units: int
    features: int
    inner: Layer | None = None
    kind: ClassVar[str] = "gated"

    def children(self):
        between = (Tanh(),) if self.inner is None else (self.inner,)
        layers = Sequential((Dense(self.units), *between, Dropout(0.3), Dense(self.features)))
        return around_shortcut(self, (inline(layers),))


@dataclass(frozen=True)
class Mixed(Container):
    """Another: a layer before two branches, the second of which is nested deeper."""

    features: int
    kind: ClassVar[str] = "mixed"

    def children(self):
        first, second, third = in_sequence((Dense(self.features), Dense(self.features), Tanh()))
        last = inline(Sequential((Dense(self.features), Tanh())), 3)
        return first, *around_shortcut(self, (second, third), (last,))


def unfused(layer, params, x, dy, ctx):
    """(y, dx, gradients) of a layer taken apart, operation by operation; nothing within it is fused."""
    program = operations(Sequential((layer,)), apart=True)
    flow, saved = Flow(x, ctx.mask), []
    for i in range(len(program)):
        flow, keep = forward(program, (i, i + 1), {"0": params}, flow, ctx)
        saved += keep
    y, grads, back = flow.x, [], Flow(dy)
    for i in reversed(range(len(program))):
        back, found = backward(program, (i, i + 1), {"0": params}, saved[i : i + 1], back, ctx, first=-1)
        grads.append(found["0"] if found else {})
    return y, back.x, grads


def total(grads, into):
    """The gradients of several operations, those of one name summed in the order given."""
    for found in grads:
        for name, value in found.items():
            if isinstance(value, dict):
                total([value], into.setdefault(name, {}))
            else:
                into[name] = into[name] + value if name in into else value
    return into


def started(layer, shape, dtype=np.float64):
    rng = np.random.default_rng(0)
    params, out_shape = layer.init(rng, shape)
    return convert(params, np.ndarray, lambda p: (p + 0.1 * rng.standard_normal(p.shape)).astype(dtype)), (
        out_shape
    )


def named(grads):
    return {
        f"{name}.{rest}": array
        for name, value in grads.items()
        for rest, array in (named(value) if isinstance(value, dict) else {"": value}).items()
    }


MLP = (Dense(6), ReLU(), Dense(6), ReLU(), ReLU(), Dense(6), Dropout(0.5), Dense(4))
WHOLE = [
    (Sequential(MLP), (4,)),
    (Residual(MLP), (4,)),
    (Residual(MLP, shortcut=(Dense(4), ReLU())), (4,)),
    (Residual((ReLU(),), shortcut=(Dense(4),)), (4,)),
    (Sequential((Residual((Dense(4),)), ReLU(), Sequential((ReLU(), Dense(2))))), (4,)),
    (Sequential((Conv2d(4), ReLU(), MaxPool(), Residual((Conv2d(4, padding="same"), ReLU())))), (8, 8, 2)),
    (TransformerBlock(2, dropout=0.4), (5, 4)),
    (TiedEmbedding(7, 4, layers=(LearnedPositions(), TransformerBlock(2), LayerNorm())), (5,)),
    (Gated(3, 4), (4,)),
    (Mixed(4), (3,)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer, shape", WHOLE, ids=lambda v: getattr(v, "kind", ""))
def test_a_layer_is_its_operations_one_after_the_other(layer, shape, dtype):
    params, out_shape = started(layer, shape, dtype)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, *shape)).astype(dtype)
    if layer.tokens:
        x = rng.integers(0, 7, (6, *shape))
    dy = rng.standard_normal((6, *out_shape)).astype(dtype)
    ctx = CTX.child(0)
    y, saved = layer.forward(params, x, ctx)
    dx, grads = layer.backward(params, saved, dy, ctx)
    expected, d_expected, apart = unfused(layer, params, x, dy, CTX)
    np.testing.assert_array_equal(y, expected)
    if not layer.tokens:
        np.testing.assert_array_equal(dx, d_expected)
    grads, apart = named(grads), named(total(apart, {}))
    assert grads.keys() == apart.keys()
    for name in grads:
        np.testing.assert_array_equal(grads[name], apart[name], err_msg=name)


@pytest.mark.parametrize("layer, shape", WHOLE, ids=lambda v: getattr(v, "kind", ""))
def test_gradients_are_the_same_given_away_in_spaces_and_without_dx(layer, shape):
    params, out_shape = started(layer, shape)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 7, (6, *shape)) if layer.tokens else rng.standard_normal((6, *shape))
    dy = rng.standard_normal((6, *out_shape))
    _, saved = layer.forward(params, x, CTX)
    _, grads = layer.backward(params, saved, dy, CTX)
    out = convert(params, np.ndarray, np.empty_like)
    ctx = replace(CTX, out=out, consume=True, input_gradient=False)
    dx, again = layer.backward(params, saved, dy, ctx)
    assert dx is None
    assert not [leaf for leaf in leaves(saved) if isinstance(leaf, np.ndarray)]
    grads, again = named(grads), named(again)
    assert grads.keys() == again.keys()
    for name in grads:
        np.testing.assert_array_equal(again[name], grads[name], err_msg=name)


@dataclass(frozen=True)
class Counted(Layer):
    """Passes on what it gets, and writes down whether it was asked for dx."""

    asked: tuple[list, ...] = ([],)
    kind: ClassVar[str] = "counted"

    def forward(self, params, x, ctx):
        return x, None

    def backward(self, params, saved, dy, ctx):
        self.asked[0].append(ctx.input_gradient)
        return dy, {}


def test_only_gradients_that_somebody_needs_are_computed():
    spare, before, after = (Counted(([],)) for _ in range(3))
    model = Sequential((spare, Residual((before, Dense(4), after), shortcut=(spare, Dense(4), spare))))
    params, _ = started(model, (4,))
    ctx = replace(CTX, input_gradient=False)
    y, saved = model.forward(params, np.ones((2, 4)), ctx)
    model.backward(params, saved, y, ctx)
    assert before.asked[0] == [] and after.asked[0] == [True]
    assert spare.asked[0] == [True]  # the one behind the shortcut's dense layer


def test_a_model_is_taken_apart_where_something_shares_within_it():
    plain, shared = Residual((Dense(4), Tanh())), Residual((BatchNorm(sync=True), Dense(4)))
    model = Sequential((plain, shared, TransformerBlock(2)))

    def told(program):
        return [f"{operation.role} {operation.layer.kind} {operation.path}" for operation in program]

    assert told(operations(model)) == [
        "run residual (0,)",
        "fork residual (1,)",
        "run batch_norm (1, 0)",
        "run dense (1, 1)",
        "join residual (1,)",
        "run transformer_block (2,)",
    ]
    assert [operation.shares for operation in operations(model)] == [False, False, True, False, False, False]
    assert told(operations(model, sync=False)) == [
        f"run {kind} ({i},)" for i, kind in enumerate(("residual", "residual", "transformer_block"))
    ]
    assert told(operations(model, apart=True))[-8:] == [
        f"{op} {path}"
        for i, kind in enumerate(("multi_head_attention", "feed_forward"))
        for op, path in (
            ("fork residual", (2, i)),
            ("run layer_norm", (2, i, 0)),
            (f"run {kind}", (2, i, 1)),
            ("join residual", (2, i)),
        )
    ]


@dataclass(frozen=True)
class Closed(Layer):
    """A user's own layer around others, which does not say how they are put together."""

    layers: tuple[Layer, ...]
    kind: ClassVar[str] = "closed"


def test_what_cannot_be_taken_apart_is_refused_only_where_something_in_it_shares():
    for layer in (Closed((BatchNorm(sync=True),)), Residual((BatchNorm(sync=True),), remat=True)):
        with pytest.raises(InputError, match=f"^{layer.kind}: a layer with sync: true cannot be inside"):
            operations(Sequential((layer,)))
    for layer in (Closed((Dense(3), Tanh())), Residual((Dense(3), Tanh()), remat=True)):
        assert [operation.layer for operation in operations(Sequential((layer,)), apart=True)] == [layer]


def test_parts_and_counts_follow_the_children():
    block = Residual((Dense(3), Sequential((Tanh(), Dense(3)))), shortcut=(Dense(3),))
    kinds = ["residual", "dense", "sequential", "tanh", "dense", "dense"]
    assert [part.kind for part in parts(block)] == kinds and count_layers(block) == 6
    assert [part.kind for part in parts(TiedEmbedding(5, 4, layers=(Tanh(),)))] == ["tied_embedding", "tanh"]
    assert [part.kind for part in parts(Mixed(2))] == ["mixed", "dense", "dense", "tanh", "dense", "tanh"]
    assert count_layers(Sequential((Gated(3, 4), Embedding(3, 2), Closed((Tanh(),))))) == 1 + 5 + 1 + 2


def test_a_users_own_container_is_taken_apart():
    program = operations(Sequential((Dense(4), Gated(3, 4), GlobalAvgPool())), apart=True)
    assert [(operation.role, operation.path) for operation in program] == [
        ("run", (0,)),
        ("fork", (1,)),
        *(("run", (1, i)) for i in range(4)),
        ("join", (1,)),
        ("run", (2,)),
    ]
    inner = Gated(3, 4, BatchNorm(sync=True))
    assert [op.layer.kind for op in operations(Sequential((inner,))) if op.shares] == ["batch_norm"]


def test_a_users_own_container_is_summarised():
    rows = {row.number: row for row in summarise(Sequential((Dense(4), Gated(3, 4), Mixed(2))), (5,))}
    assert list(rows) == [
        *("0", "1", "1.0", "1.1", "1.2", "1.3", "2", "2.0", "2.1", "2.2", "2.3", "2.3.0", "2.3.1")
    ]
    assert rows["1"].parameters == (4 + 1) * 3 + (3 + 1) * 4
    assert rows["2"].parameters == (4 + 1) * 2 + 2 * (2 + 1) * 2
    assert rows["1"].kept_bytes == 4 * (4 + 3 + 3 + 3)  # input, tanh, what is dropped, what is left
    assert rows["1"].flops == 2 * 4 * 3 + 3 + 3 + 2 * 3 * 4 + 4


CUTS = [Layout(stages=2), Layout(stages=3, microbatches=2), Layout(data=2, grain="layer"), Layout(width=2)]


@pytest.mark.parametrize("layout", CUTS, ids=str)
def test_a_users_own_container_trains_under_every_cut(layout):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((32, 6)), rng.standard_normal((32, 4))
    sync = layout.microbatches == layout.width == 1
    layers = (Dense(4), Gated(6, 4), Mixed(4), Gated(2, 4, BatchNorm(sync=True) if sync else ReLU()))

    def train(layout):
        trainer = Trainer(
            Sequential(layers),
            loss=MeanSquaredError(),
            optimizer={"sgd": 0.1},
            batch=8,
            epochs=2,
            streams=4,
            seed=5,
            precision="float64",
            layout=layout,
            client="threaded-scheduler",
        )
        return trainer.fit(x, y).parameters_

    whole, cut = train(Layout()), train(layout)
    assert whole.keys() == cut.keys()
    for name in whole:
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_shared_tables_get_the_sum_of_both_gradients_wherever_they_are_cut():
    tied = TiedEmbedding(7, 4, layers=(LayerNorm(),))
    params, _ = started(tied, (5,))
    words, dy = np.arange(10).reshape(2, 5) % 7, np.random.default_rng(3).standard_normal((2, 5, 7))
    _, saved = tied.forward(params, words, CTX)
    _, grads = tied.backward(params, saved, dy, CTX)
    space = np.full_like(params["weight"], np.nan)
    _, again = tied.backward(params, saved, dy, replace(CTX, out={"weight": space}))
    assert again["weight"] is space
    np.testing.assert_array_equal(space, grads["weight"])


def test_the_first_operation_with_parameters_is_the_last_differentiated():
    model = Sequential((Flatten(), Tanh(), Dense(3)))
    program, table = operations(model), ParameterTable.of(model.init(np.random.default_rng(0), (4,))[0])
    assert first_trained(table, program) == 2
