"""A run between two steps: the values it needs, and those of steps before."""

from __future__ import annotations

import pytest

from daskpar.graph.graph import Ref
from daskpar.graph.state import StepState


def value(step: int, lane: int = 0) -> Ref:
    return Ref(("grad-0a", step, lane))


STATE = StepState(
    5,
    {"state 0": (value(4), value(4, 1)), "gradient 0": ()},
    {"pushed": ((value(3),), (value(2),))},
)


@pytest.mark.parametrize(
    "variable, back, expected",
    [
        ("state 0", 1, (value(4), value(4, 1))),
        ("gradient 0", 1, ()),
        ("pushed", 2, (value(3),)),
        ("pushed", 3, (value(2),)),
        ("pushed", 4, ()),
        ("pushed", 1, ()),
        ("other", 1, ()),
        ("other", 2, ()),
    ],
)
def test_values_are_found_by_variable_and_steps_back(variable: str, back: int, expected: object) -> None:
    assert STATE.read(variable, back) == expected


def test_the_next_window_needs_all_of_them() -> None:
    assert STATE.keys == {("grad-0a", 4, 0), ("grad-0a", 4, 1), ("grad-0a", 3, 0), ("grad-0a", 2, 0)}
    assert StepState(0).keys == set()
