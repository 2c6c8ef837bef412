"""Blocks as entries of a config, and back."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import pytest
from layer_rows import TABLE

from daskpar import Dense, InputError, register
from daskpar.data.fitted import TRANSFORMS
from daskpar.entries import blocks_within, entry_of, name_of
from daskpar.nn import Layer, Loss, SoftmaxCrossEntropy
from daskpar.nn.registry import LAYERS, LOSSES, METRICS, layer
from daskpar.optim import SGD
from daskpar.optim.registry import OPTIMIZERS, SCHEDULES
from daskpar.registry import Table, named

OTHERS = [
    pytest.param(table, block(), id=f"{table.what} {name}")
    for table in (LOSSES, METRICS, OPTIMIZERS, SCHEDULES, TRANSFORMS)
    for name, block in table.items()
    if block.__module__.startswith("daskpar.")
    and all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(block) if f.init)
]


NAMED = [row for row in TABLE if name_of(row.layer) is not None]


@pytest.mark.parametrize("row", NAMED, ids=[row.name for row in NAMED])
def test_a_layer_comes_back_from_its_entry(row: Any) -> None:
    assert layer(json.loads(json.dumps(entry_of(row.layer)))) == row.layer


@pytest.mark.parametrize("table, block", OTHERS)
def test_a_block_comes_back_from_its_entry(table: Table[Any], block: Any) -> None:
    assert named(table, json.loads(json.dumps(entry_of(block)))) == block


def test_one_block_within_another() -> None:
    @register("wrapper of a test")
    @dataclass(frozen=True)
    class Wrapper(Layer):
        inner: Layer
        other: Layer | None = None
        judge: Loss | None = None

    try:
        entry = {"wrapper of a test": {"inner": {"dense": 3}, "judge": "softmax_cross_entropy"}}
        built = layer(entry)
        assert built == Wrapper(Dense(3), None, SoftmaxCrossEntropy())
        assert layer(json.loads(json.dumps(entry_of(built)))) == built
        assert [type(block) for block in blocks_within((built,))] == [Wrapper, Dense, SoftmaxCrossEntropy]
        with pytest.raises(InputError, match="layer 'dence' is not known"):
            layer({"wrapper of a test": {"inner": "dence"}})
    finally:
        del LAYERS.blocks["wrapper of a test"]


@dataclass(frozen=True)
class Slower(SGD):
    """A subclass that has inherited its parent's kind."""


def test_what_has_no_entry() -> None:
    assert name_of(Slower()) is None and name_of(3) is None and name_of(SGD()) == "sgd"
    with pytest.raises(InputError, match="Slower is not registered"):
        entry_of(Slower())

    @register("holder of a test")
    @dataclass(frozen=True)
    class Holder(Layer):
        held: object

    try:
        for held, kind in ((np.zeros(3), "ndarray"), (len, "builtin"), (np.sin, "ufunc"), ({1: 2}, "dict")):
            with pytest.raises(InputError, match=f"holder of a test.held is a {kind}"):
                entry_of(Holder(held))
        assert entry_of(Holder(np.float32(0.5)))["holder of a test"]["held"] == 0.5
    finally:
        del LAYERS.blocks["holder of a test"]
