"""Which parameters are trained: layers that are not, patterns of names, and what need not be computed."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from daskpar.errors import InputError
from daskpar.nn import (
    BatchNorm,
    Context,
    Dense,
    ParameterTable,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    Tanh,
    TiedEmbedding,
    TransformerBlock,
    registry as nn,
)
from daskpar.nn.container import Container, in_sequence
from daskpar.nn.layer import Layer, Params, frozen
from daskpar.nn.operations import operations
from daskpar.nn.spans import first_trained
from daskpar.nn.trainable import arranged


@dataclass(frozen=True)
class Twice(Container):
    """A user's container, which makes its layers itself."""

    units: int

    def children(self) -> Any:
        return in_sequence((Dense(self.units), BatchNorm(), Dense(self.units)))


@dataclass(frozen=True)
class Wrapped(Layer):
    """A user's layer with a layer for a hyper-parameter, which it does not tell of."""

    inner: Layer

    def init(self, rng: Any, in_shape: Any) -> Any:
        return self.inner.init(rng, in_shape)


@dataclass(frozen=True)
class Watched(Dense):
    """A dense layer that counts its backward passes."""

    passes: list[int] = field(default_factory=list, compare=False)

    def backward(self, params: Params, saved: Any, dy: Any, ctx: Context) -> Any:
        self.passes.append(1)
        return super().backward(params, saved, dy, ctx)


def table_of(
    model: Sequential, patterns: Any = (), rates: Any = None, shape: Any = (4,)
) -> tuple[Sequential, ParameterTable]:
    params, _ = model.init(np.random.default_rng(0), shape)
    return arranged(model, ParameterTable.of(params), patterns, rates or {})


def still(model: Sequential, patterns: Any = (), shape: Any = (4,)) -> list[str]:
    return [e.name for e in table_of(model, patterns, shape=shape)[1].entries if e.frozen]


TWO = {"0.weight", "0.bias", "1.weight", "1.bias"}
TABLE: list[tuple[Sequential, tuple[str, ...], set[str]]] = [
    (Sequential((Dense(4, trainable=False), Dense(2))), (), {"0.weight", "0.bias"}),
    (Sequential((Repeat(2, (Dense(4),), trainable=False), Dense(2))), (), TWO),
    (
        Sequential((Residual((Dense(4, trainable=False), Tanh()), (Dense(4),)), Dense(2))),
        (),
        {"0.0.weight", "0.0.bias"},
    ),
    (
        Sequential((Residual((Dense(4),), (Dense(4, trainable=False), Tanh())), Dense(2))),
        (),
        {"0.1.0.weight", "0.1.0.bias"},
    ),
    (Sequential((Sequential((Dense(4), Dense(3)), trainable=False), Dense(2))), (), {f"0.{n}" for n in TWO}),
    (Sequential((Dense(4, bias=False), Dense(2))), ("*.bias",), {"1.bias"}),
    (Sequential((Dense(4), Dense(2))), ("0.*", "?.bias"), {"0.weight", "0.bias", "1.bias"}),
    (Sequential((Dense(4), BatchNorm(), Dense(2))), ("1.s*",), {"1.scale", "1.shift"}),
]


@pytest.mark.parametrize("model, patterns, expected", TABLE, ids=map(str, range(len(TABLE))))
def test_names(model: Sequential, patterns: tuple[str, ...], expected: set[str]) -> None:
    assert set(still(model, patterns)) == expected


def test_all_within_a_users_container() -> None:
    names = set(still(Sequential((Twice(3, trainable=False), Dense(2)))))
    assert len(names) == 9 and all(name.startswith("0.") for name in names)
    model, _ = table_of(Sequential((Twice(3), Dense(2))), ["0.*"])
    assert not model.layers[0].trainable
    assert [operation.layer.trainable for operation in operations(model, apart=True)] == [False] * 3 + [True]


def test_layers_whose_parameters_are_all_frozen_are_not_trainable() -> None:
    norm = BatchNorm()  # one layer, at several places
    model = Sequential((Residual((norm, Dense(4)), (norm, Dense(4))), norm, Dense(2)))
    changed, table = table_of(model, ["0.0.*", "0.2.1.*"])
    block = changed.layers[0]
    assert isinstance(block, Residual)
    assert [layer.trainable for layer in (*block.layers, *block.shortcut)] == [False, True, True, False]
    assert changed.layers[1] is norm and block.shortcut[0] is norm
    whole, _ = table_of(model, ["0.2.*", "1.scale"])
    block = whole.layers[0]
    assert isinstance(block, Residual)
    assert [layer.trainable for layer in (*block.layers, *block.shortcut)] == [True, True, False, False]
    tied = Sequential((TiedEmbedding(8, 4, layers=(BatchNorm(), Dense(4))),))
    changed, _ = table_of(tied, ["0.0.*"], shape=(3,))
    assert not changed.layers[0].layers[0].trainable  # type: ignore[attr-defined]
    assert len(table.frozen) == 2


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    model = Sequential((Dense(4), Dense(2)))
    params, _ = model.init(np.random.default_rng(0), (4,))
    table = ParameterTable.of(params)
    assert arranged(model, table, (), {}) == (model, table) and table.groups is None and table.frozen == ()


def test_groups() -> None:
    model = Sequential((Dense(4), BatchNorm(), Dense(2), Dense(2)))
    _, table = table_of(model, ["2.*"], {"*": 2.0, "3.weight": 0.5})
    start = {entry.name: entry.start for entry in table.entries}
    assert table.groups == (
        (0, start["1.running_mean"], 2.0),
        (start["3.weight"], start["3.bias"], 0.5),
        (start["3.bias"], table.size, 2.0),
    )
    assert table.frozen == ((start["2.weight"], start["3.weight"]),)
    assert [b - a for a, b in table.statistics] == [4, 4, 1]
    assert pickle.loads(pickle.dumps(table)) == table


@pytest.mark.parametrize(
    "model, patterns, message",
    [
        (Sequential((Wrapped(Dense(4, trainable=False)), Dense(2))), (), "the dense within it cannot be"),
        (Sequential((Twice(3), Dense(2))), ("0.1.*",), "0.1.running_batches is a running statistic"),
        (Sequential((Dense(3), Dense(2)), trainable=False), (), "there is nothing to train"),
        (Sequential((Dense(3), BatchNorm())), ("0.*", "1.*"), "there is nothing to train"),
        (Sequential((Dense(3), Dense(2))), ("2.weight",), "matches no parameter; the nearest: "),
    ],
)
def test_refusals(model: Sequential, patterns: Any, message: str) -> None:
    with pytest.raises(InputError) as told:
        table_of(model, patterns)
    assert message in str(told.value)


def test_every_layer_can_be_frozen_by_name() -> None:
    assert nn.layer({"dense": {"units": 3, "trainable": False}}) == Dense(3, trainable=False)
    assert nn.layer({"relu": {"trainable": False}}) == ReLU(trainable=False) != ReLU()
    block = nn.layer({"residual": {"layers": [{"dense": 4}], "trainable": False}})
    assert not block.trainable and frozen(block) is block
    assert "trainable" not in repr(Dense(3)) and "trainable=False" in repr(Dense(3, trainable=False))
    with pytest.raises(InputError, match="boolean"):
        nn.layer({"dense": {"units": 3, "trainable": "no"}})


class Shift(Layer):
    """A user's layer that is no dataclass, and builds itself."""

    def __init__(self, by: float):
        object.__setattr__(self, "by", by)

    def init(self, rng: Any, in_shape: Any) -> Any:
        return {"weight": np.full(in_shape, self.by)}, in_shape


def test_a_layer_that_builds_itself_can_be_frozen() -> None:
    layer = Shift(2.0)
    model, table = table_of(Sequential((layer, Dense(2))), ["0.*"])
    assert layer.trainable and not model.layers[0].trainable
    assert model.layers[0].init(None, (1,))[0]["weight"] == 2 and len(table.frozen) == 1


def test_what_a_layer_keeps_at_hand_is_not_copied() -> None:
    block = Residual((BatchNorm(),))
    before = block.program
    assert frozen(block).program is not before and block.program is before
    assert all(not o.layer.trainable for o in frozen(block).program if o.role == "run")


def test_gradients_below_the_first_trained_layer_are_not_computed() -> None:
    watched = [Watched(4), Watched(4), Watched(4), Watched(2)]
    blocks = (Residual((Tanh(), frozen(layer))) for layer in watched[:2])
    model, _ = table_of(Sequential((*blocks, *watched[2:])))
    params, _ = model.init(np.random.default_rng(0), (4,))
    y, saved = model.forward(params, np.ones((3, 4)), Context(training=True))
    dx, grads = model.backward(params, saved, np.ones_like(y), Context(training=True, input_gradient=False))
    assert dx is None and grads.keys() == {"2", "3"}
    assert [len(layer.passes) for layer in watched] == [0, 0, 1, 1]
    model, table = table_of(model)
    program = operations(model, apart=True)
    assert program[first_trained(table, program)].path == (2,)
    assert first_trained(table, program, passes_frozen=False) == 2  # fork, tanh, dense
    model.backward(params, saved, np.ones_like(y), Context(training=True))
    assert [len(layer.passes) for layer in watched] == [1, 1, 2, 2]


def test_a_frozen_dense_layer_between_others_gives_the_same_bits() -> None:
    """It is left out of the chain that others are fused to."""
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    found = []
    for trainable in (True, False):
        layers = (Dense(4), ReLU(), Dense(4, trainable=trainable), ReLU(), Dense(3), Dense(2))
        model = Sequential(layers)
        params, _ = model.init(np.random.default_rng(0), (4,))
        params = ParameterTable.of(params).views(ParameterTable.of(params).flatten(params, "float32"))
        y, saved = model.forward(params, x, Context(training=True))
        dx, grads = model.backward(params, saved, np.ones_like(y), Context(training=True))
        found.append((y, dx, grads["0"]["weight"], grads["5"]["weight"]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_dropout_in_a_frozen_block_goes_on() -> None:
    block = TransformerBlock(2, dropout=0.5)
    model = Sequential((frozen(block),))
    params, _ = model.init(np.random.default_rng(0), (3, 4))
    x = np.random.default_rng(1).standard_normal((2, 3, 4))
    training, after = (model.forward(params, x, Context(training=t))[0] for t in (True, False))
    assert (training != after).any()
