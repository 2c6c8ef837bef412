"""What a network costs: parameters, operations and kept bytes, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from bigram import Bigram

from daskpar.autotune.summary import Row, new_bytes, summarise
from daskpar.errors import InputError
from daskpar.nn import Dense, Dropout, Flatten, Layer, ReLU, Residual, Sequential, Tanh


def by_number(layers: tuple[Layer, ...], in_shape: tuple[int, ...]) -> dict[str, Row]:
    return {row.number: row for row in summarise(Sequential(layers), in_shape)}


def test_one_after_the_other() -> None:
    rows = by_number((Flatten(), Dense(100), ReLU(), Dropout(0.5), Dense(10, bias=False)), (8, 8, 1))
    assert [(n, r.layer, r.out_shape, r.depth) for n, r in rows.items()] == [
        ("0", "flatten", (64,), 0),
        ("1", "dense", (100,), 0),
        ("2", "relu", (100,), 0),
        ("3", "dropout", (100,), 0),
        ("4", "dense", (10,), 0),
    ]
    assert [r.parameters for r in rows.values()] == [0, 6500, 0, 0, 1000]
    assert [r.flops for r in rows.values()] == [
        layer.flops(a, b)
        for layer, a, b in (
            (Flatten(), (8, 8, 1), (64,)),
            (Dense(100), (64,), (100,)),
            (ReLU(), (100,), (100,)),
            (Dropout(0.5), (100,), (100,)),
            (Dense(10, bias=False), (100,), (10,)),
        )
    ]
    # The first dense keeps the input of the model, which is there anyway; relu its output, dropout its mask,
    # and the next dense what dropout returned: all float32.
    assert [r.kept_bytes for r in rows.values()] == [0, 0, 400, 400, 400]
    assert [r.arguments for r in rows.values()] == ["", "units=100", "", "rate=0.5", "units=10 bias=False"]


def test_an_array_that_two_layers_keep_counts_once() -> None:
    rows = by_number((Dense(6), ReLU(), Dense(5), Tanh(), Flatten(), Dense(2)), (3,))
    assert [r.kept_bytes for r in rows.values()] == [0, 4 * 6, 0, 4 * 5, 0, 0]


def test_blocks_are_the_sums_of_their_parts() -> None:
    block = Residual((Dense(8), ReLU(), Dense(8)), shortcut=(Dense(8),))
    rows = by_number((Dense(4), block, Sequential((Tanh(), Dense(3)))), (6,))
    assert list(rows) == ["0", "1", "1.0", "1.1", "1.2", "1.3", "1.3.0", "2", "2.0", "2.1"]
    assert [r.depth for r in rows.values()] == [0, 0, 1, 1, 1, 1, 2, 0, 1, 1]
    assert rows["1"].parameters == 40 + 72 + 40 and rows["2"].parameters == rows["2.1"].parameters == 27
    assert [rows[n].parameters for n in ("1.0", "1.2", "1.3", "1.3.0")] == [40, 72, 40, 40]
    assert rows["1"].flops == block.flops((4,), (8,))
    assert rows["2"].flops == rows["2.0"].flops + rows["2.1"].flops
    assert rows["1"].kept_bytes == 4 * 4 + 4 * 8  # what went in, and what relu returned
    assert rows["2"].kept_bytes == rows["2.0"].kept_bytes == 4 * 8
    assert rows["1"].arguments == ""


def test_layer_1_is_not_layer_10() -> None:
    rows = by_number((*(Dense(2) for _ in range(11)), Dense(50)), (2,))
    assert [r.parameters for r in rows.values()] == [6] * 11 + [150]


def test_remat_keeps_its_input_only() -> None:
    layers = (Dense(8), Tanh(), Dense(8), Tanh())
    rows = by_number((Dense(4), Sequential(layers, remat=True), Dense(4)), (6,))
    assert rows["1"].kept_bytes == 4 * 4
    assert [rows[f"1.{i}"].kept_bytes for i in range(4)] == [0] * 4
    assert rows["1"].arguments == "remat=True"


def test_tokens() -> None:
    rows = by_number((Bigram(7),), (5,))
    assert (rows["0"].out_shape, rows["0"].parameters) == ((5, 7), 49)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"layer 1: residual: its layers turn \(4,\) into \(3,\)"):
        summarise(Sequential((Dense(4), Residual((Dense(3),)))), (8,))


def test_views_keep_the_whole_array() -> None:
    whole, other = np.zeros(100, np.float32), np.zeros(3)
    seen: set[int] = set()
    assert new_bytes([whole[:5], {"a": (whole[5:].reshape(5, 19), None, (3, 4), other)}], seen) == 400 + 24
    assert new_bytes((whole, other[::2]), seen) == 0
