"""The order of updates: servers in place of trees, and the bound on staleness as edges of the plan."""

from __future__ import annotations

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.compile import compile_plan
from daskpar.layout.partition import Span
from daskpar.layout.plan import AllCarried, Carried, Now, Output, Plan, Together
from daskpar.layout.updates import BARRIER, PUSHED, SERVERS


def plan(layout: Layout) -> Plan:
    return compile_plan(spec_of(layout))


def waits(layout: Layout) -> list[set[tuple[int, int]]]:
    """Return for each lane the (lane, steps back) of the pushes that its gradient waits for."""
    found = []
    for op in plan(layout).step.ops:
        together = op.arguments[8]
        assert isinstance(together, Together)
        assert together.values[-1] == Carried(BARRIER)
        found.append({(v.item, v.back) for v in together.values[:-1] if isinstance(v, Carried)})
    return found


@pytest.mark.parametrize(
    "layout, expected",
    [
        (Layout(data=2, update="async"), [{(0, 1)}, {(1, 1)}]),
        (Layout(data=2, update="stale"), [{(0, 1), (1, 1)}, {(0, 1), (1, 1)}]),
        (
            Layout(data=2, update="stale", staleness=1),
            [{(0, 1), (0, 2), (1, 2)}, {(1, 1), (0, 2), (1, 2)}],
        ),
        (Layout(data=1, update="stale", staleness=3), [{(0, 1), (0, 4)}]),
    ],
    ids=repr,
)
def test_a_lane_waits_for_itself_and_for_all_others_beyond_the_bound(
    layout: Layout, expected: list[set[tuple[int, int]]]
) -> None:
    assert waits(layout) == expected
    assert plan(layout).back == {PUSHED: 1 + layout.staleness}


def test_a_server_for_each_shard_spread_over_the_lanes() -> None:
    start = plan(Layout(data=4, update="stale", shards=2)).start
    assert [(op.function, op.slot, op.kind.actor) for op in start.ops] == [
        ("ParameterServer", n, True) for n in (0, 2)
    ]
    spans = [Span(0, 0, 320), Span(0, 320, 624)]
    assert [op.arguments for op in start.ops] == [
        (Now.MODEL, span, 4, 4, True, Now.STEP, Now.FILE) for span in spans
    ]
    assert start.results == {SERVERS: (Output(0), Output(1))}


def test_nothing_is_reduced_and_every_lane_pushes_at_its_rate() -> None:
    found = plan(Layout(data=2, update="async"))
    assert [(op.kind.name, op.function, op.slot) for op in found.step.ops] == [
        ("grad-async", "grad_pushed", lane) for lane in (0, 1)
    ]
    assert all(op.arguments[3:6] == (lane, Now.RATE, Now.FRESH) for lane, op in enumerate(found.step.ops))
    assert found.step.results == {PUSHED: (Output(0), Output(1)), BARRIER: ()}
    assert found.logs == (AllCarried(PUSHED),)


def test_after_a_look_lanes_wait_for_it() -> None:
    look = plan(Layout(data=2, update="async")).snapshot
    assert [op.function for op in look.ops] == ["snapshot", "barrier"]
    assert look.ops[0].arguments[-1] == AllCarried(PUSHED)  # all lanes have pushed
    assert look.ops[1].reads == [0] and look.results[BARRIER] == (Output(1),)


def test_lanes_that_meet_have_no_server() -> None:
    assert not any(op.kind.actor for op in plan(Layout(data=2)).start.ops)
