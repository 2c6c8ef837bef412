"""The table of a network: its numbers worked out by hand, as text, HTML and JSON."""

from __future__ import annotations

import json

import pytest

from daskpar import Dense, InputError, ReLU, Residual, Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.trainable import arranged
from daskpar.report.model import ModelSummary

MODEL = Sequential((Dense(4), ReLU(), Residual((Dense(4), ReLU())), Dense(3)))


@pytest.fixture
def summary() -> ModelSummary:
    return ModelSummary(MODEL, (8,))


def test_rows_and_what_is_within_them(summary: ModelSummary) -> None:
    assert [(row.depth, row.layer, row.parameters) for row in summary.rows] == [
        (0, "dense", 8 * 4 + 4),
        (0, "relu", 0),
        (0, "residual", 4 * 4 + 4),
        (1, "dense", 4 * 4 + 4),
        (1, "relu", 0),
        (0, "dense", 4 * 3 + 3),
    ]
    assert summary.out_shape == (3,)


def test_totals_count_blocks_once(summary: ModelSummary) -> None:
    total = summary.total
    assert total["parameters"] == 36 + 20 + 15 and total["frozen"] == 0
    assert total["flops"] == sum(row.flops for row in summary.rows if row.depth == 0)
    assert [row.flops for row in summary.rows if row.layer == "dense"] == [2 * 8 * 4, 2 * 4 * 4, 2 * 4 * 3]


def test_text_html_and_json_have_the_same_numbers(summary: ModelSummary) -> None:
    text, html = repr(summary), summary._repr_html_()
    for word in ("input 8", "dense units=4", "residual", "bytes kept", "71"):
        assert word in text and word in html
    assert html.count("<tr>") == len(summary.rows) + 2 and "frozen" not in text
    assert "  dense units=4" in text  # indented within the block
    data = json.loads(json.dumps(summary.as_dict()))
    assert data["total"] == summary.total and len(data["layers"]) == 6 and data["in_shape"] == [8]


def test_frozen_parameters_have_a_column() -> None:
    import numpy as np

    params, _ = MODEL.init(np.random.default_rng(0), (8,))
    model, table = arranged(MODEL, ParameterTable.of(params), ["0.*"], {})
    summary = ModelSummary(model, (8,), table)  # type: ignore[arg-type]
    assert summary.total["frozen"] == 36
    assert "frozen" in repr(summary) and "Trained: 35 of 71." in repr(summary).replace("\n", " ")


def test_shapes_that_do_not_fit() -> None:
    from daskpar import Conv2d

    with pytest.raises(InputError, match="conv2d"):
        ModelSummary(Sequential((Dense(4), Conv2d(3))), (8,))
