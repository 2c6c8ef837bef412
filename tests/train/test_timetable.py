"""When a run is evaluated, saved and ended, and its learning rates: worked out by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from daskpar.optim.registry import schedule
from daskpar.train.driver import Milestone
from daskpar.train.timetable import Timetable


def timetable(**fields: Any) -> Timetable:
    common: dict[str, Any] = dict(
        total=10, evaluate_every=4, save_every=None, lr=0.1, schedule=schedule("constant"), plateau=None
    )
    return Timetable(**{**common, **fields})


def cuts(table: Timetable, step: int = 0) -> list[tuple[int, bool, bool]]:
    """Return (step, evaluated, saved) of all cuts to the end."""
    found = []
    while step < table.total:
        cut = table.next_cut(step)
        assert isinstance(cut, Milestone) and cut.step > step
        found.append((cut.step, cut.evaluate, cut.save))
        step = cut.step
    return found


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, [(4, True, False), (8, True, False), (10, True, False)]),
        ({"save_every": 5}, [(4, True, False), (5, False, True), (8, True, False), (10, True, True)]),
        ({"save_every": 4}, [(4, True, True), (8, True, True), (10, True, True)]),
        ({"evaluate_every": 50}, [(10, True, False)]),
        ({"epochs_from": 3}, [(3, True, False), (7, True, False), (10, True, False)]),
    ],
    ids=["evaluations", "and checkpoints", "at once", "at the end alone", "epochs that began at step 3"],
)
def test_cuts(fields: dict[str, Any], expected: list[tuple[int, bool, bool]]) -> None:
    assert cuts(timetable(**fields)) == expected


def test_a_resumed_run_has_the_cuts_that_were_left() -> None:
    table = timetable(save_every=5)
    assert cuts(table, 5) == [cut for cut in cuts(table) if cut[0] > 5]


def test_only_evaluations_of_a_plateau_are_restart_points() -> None:
    class Lowered:
        factor = 0.5

    plain, plateau = timetable(save_every=3), timetable(save_every=3, plateau=Lowered())
    assert [plain.next_cut(s).restart_point for s in (0, 3)] == [False, False]
    assert [(c.step, c.restart_point) for c in map(plateau.next_cut, (0, 3))] == [(3, False), (4, True)]
    assert plain.rate(2) == 0.1 and plateau.rate(2) == 0.05


def test_the_schedule_begins_where_the_training_does() -> None:
    """A linear schedule over the five steps from 5 to 10."""
    whole = timetable(total=5, schedule=schedule("linear"))
    later = timetable(total=10, first=5, schedule=schedule("linear"))
    rates = [whole.rate(step) for step in range(5)]
    assert [later.rate(step) for step in range(5, 10)] == rates
    assert rates[0] == pytest.approx(0.1) and all(a > b for a, b in itertools.pairwise(rates))
