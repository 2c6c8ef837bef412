"""A model cut in width: sections, each part's share of parameters, and that parts compute the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daskpar.nn import Context, registry
from daskpar.nn.operations import Flow, forward, operations
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.tensor_parallel import Section, Share, branch, cut_program, sections, share_shape

MODEL = [{"dense": 8}, "relu", {"dense": 6}, {"layer_norm": {}}, {"dense": 4}]


def program(model: Any, features: int = 5) -> tuple[Any, ParameterTable, dict[str, Any]]:
    layers = registry.model(model)
    params, _ = layers.init(np.random.default_rng(0), (features,))
    return operations(layers, True), ParameterTable.of(params), params


@pytest.mark.parametrize(
    "model, parts, expected",
    [
        (MODEL, 2, [Section(0, 3, True), Section(4, 5, False)]),
        (MODEL, 4, [Section(0, 3, True), Section(4, 5, False)]),  # 6 rows need not be cut: 8 columns are
        (MODEL, 3, [Section(2, 3, False)]),  # 6 columns in three, 8 and 4 not
        (
            [{"dense": 8}, "relu", {"layer_norm": {}}, {"dense": 6}],
            2,
            [Section(0, 2, False), Section(3, 4, False)],
        ),
        (
            [{"embedding": {"words": 8, "features": 4}}, "relu", {"dense": 6}],
            2,
            [Section(0, 1, True), Section(2, 3, False)],
        ),
        ([{"dense": 7}, "relu"], 2, []),
        (["relu", {"layer_norm": {}}], 2, []),
    ],
)
def test_sections(model: Any, parts: int, expected: list[Section]) -> None:
    ops, table, _ = program(model)
    assert sections(ops, table, parts) == expected


def test_shares_of_a_pair_are_columns_and_rows() -> None:
    ops, table, _ = program(MODEL)
    for part in (0, 1):
        _, shares = branch(ops, Section(0, 3, True), table, part, 2)
        first, second = Share(1, 4 * part, 4 * part + 4), Share(0, 4 * part, 4 * part + 4)
        expected = {"0.weight": first, "0.bias": Share(0, 4 * part, 4 * part + 4), "2.weight": second}
        assert shares == expected | ({} if part else {"2.bias": None})  # added once: by the first part


def test_what_is_in_no_section_stays_as_it_was() -> None:
    ops, table, _ = program(MODEL)
    cut, shares = cut_program(ops, sections(ops, table, 2), table, 1, 2)
    assert cut[3] == ops[3] and len(cut) == len(ops)
    assert {name.split(".")[0] for name in shares} == {"0", "2", "4"}


@pytest.mark.parametrize(
    "share, expected",
    [(None, (3, 4)), (Share(0, 1, 3), (2, 4)), (Share(1, 0, 1), (3, 1)), (Share(1, 2, 2), (3, 0))],
)
def test_shape_of_a_share(share: Share | None, expected: tuple[int, ...]) -> None:
    assert share_shape((3, 4), share) == expected
    if share is not None:
        assert np.zeros((3, 4))[share.place].shape == expected


@pytest.mark.parametrize("parts", [2, 4])
def test_the_sum_of_the_parts_of_a_section_is_the_section(parts: int) -> None:
    ops, table, params = program(MODEL)
    x = np.random.default_rng(1).standard_normal((3, 5))
    whole = forward(ops, (0, 3), params, Flow(x), Context())[0].x
    flat = table.named(table.flatten(params, np.float64))
    total = 0.0
    for part in range(parts):
        own, shares = branch(ops, Section(0, 3, True), table, part, parts)
        held: dict[str, Any] = {}
        for name, share in shares.items():
            value = flat[name] if share is None else flat[name][share.place]
            held.setdefault(name.split(".")[0], {})[name.split(".")[1]] = value
        total = total + forward(own, (0, 3), held, Flow(x), Context())[0].x
    np.testing.assert_allclose(total, whole, rtol=1e-12, atol=1e-12)
