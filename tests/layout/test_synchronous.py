"""The plan of lanes that meet at each step: what begins it, updates on each slot, the look at the state."""

from __future__ import annotations

from typing import Any

from specs import spec_of

from daskpar import Clip, Layout
from daskpar.layout.plan import (
    FROM_FILE,
    SNAPSHOT,
    AllCarried,
    Carried,
    Chunks,
    Now,
    Op,
    Output,
    Plan,
    Section,
    Streams,
    Together,
)
from daskpar.layout.synchronous import PENDING, Synchronous, gradient_of, state_of


def plan(layout: Layout, across: bool = False, **options: Any) -> Plan:
    return Synchronous(spec_of(layout, **options), across).plan()


def named(section: Section, name: str) -> list[Op]:
    return [op for op in section.ops if op.kind.name == name]


def test_copies_of_the_whole_state_are_loaded_once() -> None:
    start = plan(Layout(data=3)).start
    (load,) = start.ops
    assert (load.function, load.slot, load.arguments) == (
        "begin_state",
        None,
        (Now.MODEL, Now.FILE, Now.PREFIX),
    )
    assert start.results == {state_of(0): (Output(0),) * 3}


def test_parts_of_the_state_are_loaded_where_they_are_held() -> None:
    start = plan(Layout(data=2, stages=2)).start
    assert [(op.function, op.coordinates, op.slot) for op in start.ops] == [
        ("load_place", (0, 0), 0),
        ("load_place", (0, 1), 2),
        ("load_place", (1, 0), 1),
        ("load_place", (1, 1), 3),
    ]
    assert start.results == {state_of(0): (Output(0), Output(1)), state_of(1): (Output(2), Output(3))}


def test_each_copy_is_updated_on_its_own_slot_by_all_gradients() -> None:
    updates = named(plan(Layout(data=2)).step, "update")
    assert [(op.slot, op.arguments) for op in updates] == [
        (lane, (Now.MODEL, Now.LAST_RATE, Now.FRESH, Carried(state_of(0), lane), AllCarried(gradient_of(0))))
        for lane in (0, 1)
    ]


def test_without_gradients_a_state_stays_as_it_is() -> None:
    for op in named(plan(Layout(data=2)).step, "update"):
        assert (op.needs, op.instead) == (PENDING, Carried(state_of(0), op.coordinates[0]))  # type: ignore[arg-type]


def test_every_lane_draws_its_own_rows() -> None:
    loads = named(plan(Layout(data=2, stages=2)).step, "load-batch")
    assert [(op.slot, *op.arguments[2:]) for op in loads] == [
        (0, Streams(0), Chunks(0)),
        (2, Streams(1), Chunks(1)),
    ]


def test_threads_share_gathered_parameters_and_processes_do_not() -> None:
    shared, apart = (plan(Layout(data=2, shards=2), across).step for across in (False, True))
    assert [op.slot for op in named(shared, "gather-parameters")] == [0]
    assert [op.slot for op in named(apart, "gather-parameters")] == [0, 1]
    sent = [op.function for op in apart.ops if op.kind.verb == "send"]
    assert sent == ["send_parameters"] * 2  # once each, without the optimizer's slots


def test_the_norm_of_the_whole_gradient_is_known_to_every_owner() -> None:
    step = plan(Layout(data=2, shards=2), clip=Clip(norm=1.0)).step
    norms = [n for n, op in enumerate(step.ops) if op.kind.name == "measure-norm"]
    assert [step.ops[n].slot for n in norms] == [0, 1]
    for op in named(step, "update"):
        assert Together(tuple(map(Output, norms))) in op.arguments
    assert not named(plan(Layout(data=2), clip=Clip(norm=1.0)).step, "measure-norm")  # each has all of it


def test_a_look_applies_what_waits_and_gathers_the_whole() -> None:
    one, parts = plan(Layout(data=2)).snapshot, plan(Layout(stages=2)).snapshot
    assert [(op.function, op.slot, op.needs) for op in one.ops] == [("update", None, "")]
    assert [op.function for op in parts.ops] == ["update_part", "update_part", "gather_state"]
    assert parts.ops[-1].reads == [0, 1]
    assert one.results == {SNAPSHOT: (Output(0),)} and parts.results == {SNAPSHOT: (Output(2),)}


def test_remainders_of_rounding_are_part_of_the_state() -> None:
    found = plan(Layout(data=2, compression="float16"))
    loads = named(found.start, "load-remainder")
    assert len(loads) == 2 and {op.needs for op in loads} == {FROM_FILE}
    remainders = {name for name in found.step.results if name.startswith("remainder")}
    assert remainders == {name for name in found.start.results if name.startswith("remainder")}
    assert len(remainders) == 2
    (save,) = named(found.snapshot, "save-remainders")
    carried = {argument.variable for argument in save.arguments if isinstance(argument, Carried)}
    assert carried == remainders and found.snapshot.results[SNAPSHOT] == (Output(1),)


def test_the_log_of_a_step_is_in_the_first_state_and_norms_are_in_all() -> None:
    layout = Layout(data=2, stages=2)
    assert plan(layout, layer_norms=None).logs == (Carried(state_of(0)),)
    assert plan(layout).logs == (Carried(state_of(0)), Carried(state_of(1)))
