"""Stages: what operations cost, and where a model is cut so that the dearest stage costs least."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st
from specs import spec_of

from daskpar import InputError, Layout
from daskpar.layout.stages import balanced, operation_costs, stage_ends

DEEP = ["flatten", {"dense": 8}, "relu", {"dense": 8}, "relu", {"dense": 10}]
COSTS = {  # of one image of 8 x 8, by hand: 2 FLOPs a product and sum of the dense layers
    "parameters": [0, 64 * 8 + 8, 0, 8 * 8 + 8, 0, 8 * 10 + 10],
    "bytes": [64, 8, 8, 8, 8, 10],
}


@pytest.mark.parametrize("what", COSTS)
def test_costs_of_operations(what: str) -> None:
    spec = spec_of(Layout(), DEEP)
    assert operation_costs(spec.partition.program, spec.table, (8, 8, 1), what) == COSTS[what]


def test_flops_are_those_that_layers_say() -> None:
    spec = spec_of(Layout(), DEEP)
    costs = operation_costs(spec.partition.program, spec.table, (8, 8, 1), "flops")
    dense = [costs[i] for i in (1, 3, 5)]
    assert dense == [2 * 64 * 8, 2 * 8 * 8, 2 * 8 * 10] and costs[0] == 0


@pytest.mark.parametrize(
    "layout, costs, expected",
    [
        (Layout(), None, [6]),
        (Layout(stages=2), [1, 1, 1, 1, 1, 1], [3, 6]),
        (Layout(stages=3), [1, 1, 1, 1, 1, 1], [2, 4, 6]),
        (Layout(stages=2), [0, 9, 0, 1, 0, 1], [2, 6]),
        (Layout(stages=2, balance="parameters"), None, [2, 6]),
        (Layout(stages=(1, 3, 2)), None, [1, 4, 6]),
    ],
)
def test_ends_of_stages(layout: Layout, costs: list[float] | None, expected: list[int]) -> None:
    spec = spec_of(Layout(), DEEP)
    assert stage_ends(spec.partition.program, (), spec.table, (8, 8, 1), layout, costs) == expected


def test_layers_that_share_a_section_stay_together() -> None:
    """The first dense layer, ReLU and the second are one section in width, which no stage boundary cuts."""
    parts = spec_of(Layout(stages=2, width=2), DEEP, metrics=["accuracy"]).partition.parts
    assert [part.first for part in parts if part.stage == 1][0] not in (2, 3)  # noqa: RUF015


@pytest.mark.parametrize(
    "stages, message",
    [
        (7, r"^layout\.stages=7: this model can be cut into 6 at most$"),
        ((3, 4), r"^layout\.stages=\[3, 4\] are 7 layers in all, the model has 6$"),
    ],
)
def test_refused(stages: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(Layout(stages=stages), DEEP)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), st.data())
def test_balanced_runs_are_the_best_there_are(costs: list[int], data: Any) -> None:
    parts = data.draw(st.integers(1, len(costs)))

    def dearest(ends: Any) -> float:
        return max(sum(costs[a:b]) for a, b in pairwise([0, *ends]))

    ends = balanced(costs, parts)
    assert len(ends) == parts and ends[-1] == len(costs)
    assert all(a < b for a, b in pairwise([0, *ends]))
    every = ((*some, len(costs)) for some in combinations(range(1, len(costs)), parts - 1))
    assert dearest(ends) == min(map(dearest, every))


def test_among_equals_the_earliest_ends() -> None:
    assert balanced([1, 0, 0, 1], 2) == [1, 4]
