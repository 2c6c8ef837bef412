"""Fusion: a lane's pass becomes one operation, its update goes inside, a window has everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.fuse import GRAD, WINDOW, fused
from daskpar.layout.plan import (
    AllCarried,
    AllStreams,
    Carried,
    Chunks,
    CountCarried,
    Kind,
    Now,
    Op,
    Output,
    Plan,
    Section,
    Streams,
    WindowChunks,
)
from daskpar.layout.synchronous import Synchronous


def plans(layout: Layout, across: bool = False) -> tuple[Plan, Plan]:
    """Return the plan of a layout before and after fusion."""
    spec = spec_of(layout)
    plan = Synchronous(spec, across).plan()
    return plan, fused(plan, spec, across)


def test_in_one_process_the_update_is_part_of_the_pass() -> None:
    _, after = plans(Layout(data=2))
    assert after.step.ops == [
        Op(
            GRAD,
            "grad",
            (lane,),
            lane,
            (
                *(Now.MODEL, Now.STEP, Streams(lane), Now.LAST_RATE, Now.FRESH, Carried("state 0", lane)),
                *(CountCarried("gradient 0"), AllCarried("gradient 0"), Chunks(lane)),
            ),
        )
        for lane in (0, 1)
    ]
    both = (Output(0), Output(1))
    assert after.step.results == {"state 0": both, "gradient 0": both, "pending": (Output(0),)}


def test_between_processes_state_and_gradient_stay_apart() -> None:
    _, after = plans(Layout(data=2), across=True)
    assert [(op.kind.name, op.function, op.slot) for op in after.step.ops] == [
        *(("update", "update", lane) for lane in (0, 1)),
        *(("grad", "grad_model", lane) for lane in (0, 1)),
    ]
    assert [op.reads for op in after.step.ops] == [[], [], [0], [1]]
    assert after.step.results["state 0"] == (Output(0), Output(1))
    assert after.step.results["gradient 0"] == (Output(2), Output(3))


def test_shards_are_gathered_before_the_pass_of_each_lane() -> None:
    _, after = plans(Layout(data=2, shards=2))
    names = [op.kind.name for op in after.step.ops]
    assert names[:5] == ["update", "update", "gather-parameters", "grad", "grad"]
    assert [after.step.ops[n].reads for n in (2, 3, 4)] == [[0, 1], [2], [2]]


def test_a_window_has_the_steps_of_all_lanes() -> None:
    before, after = plans(Layout(data=3, grain="window", fan_in=2))
    (op,) = after.step.ops
    assert (op.kind, op.function, op.slot) == (WINDOW, "train_window", 0)
    assert op.arguments == (
        *(Now.MODEL, Now.RATES, AllStreams(range(3)), 2, Now.FRESH, Carried("state 0")),
        WindowChunks(range(3)),
    )
    assert after.step.results == {"state 0": (Output(0),) * 3, "gradient 0": ()}
    assert after.whole_windows and (after.start, after.snapshot) == (before.start, before.snapshot)


@pytest.mark.parametrize(
    "layout",
    [Layout(data=2, grain="stage"), Layout(stages=2), Layout(width=2), Layout(microbatches=2)],
    ids=["stage", "stages", "width", "microbatches"],
)
def test_passes_in_pieces_stay_as_they_are(layout: Layout) -> None:
    before, after = plans(layout)
    assert after is before


def test_what_others_read_is_renumbered() -> None:
    """An operation behind the fused ones reads the lanes' gradients by their new numbers."""
    spec = spec_of(Layout(data=2))
    plan = Synchronous(spec, True).plan()
    step = Section(list(plan.step.ops), plan.step.results)
    first, second = plan.step.results["gradient 0"]
    step.add(Kind("measure", "measure"), "barrier", (), 0, first, second)
    after = fused(replace(plan, step=step), spec, True)
    assert after.step.ops[-1].arguments == (Output(2), Output(3)) == after.step.results["gradient 0"]
