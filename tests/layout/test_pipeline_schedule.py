"""Schedules of a pipeline, entry by entry."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from daskpar.layout import pipeline_schedule as module
from daskpar.layout.pipeline_schedule import SCHEDULES, Action, actions_of_stages, alive, bubble, timeline

KINDS = st.sampled_from(sorted(SCHEDULES))
SIZES = st.integers(1, 9)


def written(actions):
    return " ".join(f"{verb[0].upper()}{micro}" for verb, micro in actions)


def test_gpipe_goes_forward_with_all_and_then_back():
    assert [written(actions) for actions in actions_of_stages("gpipe", 3, 4)] == [
        "F0 F1 F2 F3 B0 B1 B2 B3"
    ] * 3


def test_1f1b_takes_turns_once_the_pipeline_is_full():
    assert [written(actions) for actions in actions_of_stages("1f1b", 3, 4)] == [
        "F0 F1 F2 B0 F3 B1 B2 B3",
        "F0 F1 B0 F2 B1 F3 B2 B3",
        "F0 B0 F1 B1 F2 B2 F3 B3",
    ]
    assert [written(actions) for actions in actions_of_stages("1f1b", 4, 2)] == [
        "F0 F1 B0 B1",
        "F0 F1 B0 B1",
        "F0 F1 B0 B1",
        "F0 B0 F1 B1",
    ]


def drawn(slots):
    """A row for each stage, a column of three characters for each unit of time."""
    length = int(max(slot.stop for slot in slots))
    rows = [["."] * length for _ in range(1 + max(slot.stage for slot in slots))]
    for slot in slots:
        name = written([slot.action])
        rows[slot.stage][int(slot.start) : int(slot.stop)] = [name] * int(slot.stop - slot.start)
    return [" ".join(f"{cell:2}" for cell in row).rstrip() for row in rows]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_drawings_are_true(kind):
    lines = [line.strip().removeprefix(kind).strip() for line in module.__doc__.splitlines()]
    rows = drawn(timeline(actions_of_stages(kind, 3, 4)))
    assert lines[lines.index(rows[0]) :][:3] == rows


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("stages, micros", [(1, 1), (2, 2), (2, 8), (4, 4), (4, 16), (8, 3), (3, 1)])
@pytest.mark.parametrize("backward", [1.0, 2.0, 3.5])
def test_the_bubble_is_n_minus_one_of_m_plus_n_minus_one(kind, stages, micros, backward):
    """torchgpipe's formula (Kim et al. 2020), whatever a backward pass takes."""
    slots = timeline(actions_of_stages(kind, stages, micros), backward=backward)
    assert bubble(slots) == pytest.approx((stages - 1) / (micros + stages - 1))


@given(KINDS, SIZES, SIZES)
def test_every_stage_does_everything_once_and_in_order(kind, stages, micros):
    for actions in actions_of_stages(kind, stages, micros):
        assert sorted(actions) == sorted(Action(v, m) for v in ("forward", "backward") for m in range(micros))
        for verb in ("forward", "backward"):
            assert [m for v, m in actions if v == verb] == list(range(micros))


@given(KINDS, SIZES, SIZES)
def test_activations_alive(kind, stages, micros):
    for stage, actions in enumerate(actions_of_stages(kind, stages, micros)):
        assert alive(actions) == (micros if kind == "gpipe" else min(micros, stages - stage))


@given(KINDS, SIZES, SIZES)
def test_a_stage_does_one_thing_at_a_time(kind, stages, micros):
    slots = timeline(actions_of_stages(kind, stages, micros))
    assert len(slots) == 2 * stages * micros
    for stage in range(stages):
        own = [slot for slot in slots if slot.stage == stage]
        assert all(one.stop <= other.start for one, other in pairwise(own))


def test_a_schedule_that_waits_for_itself_is_told():
    with pytest.raises(ValueError, match="waits for itself"):
        timeline([[Action("backward", 0), Action("forward", 0)]])
