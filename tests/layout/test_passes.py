"""The passes of a step: what flows where, in the order of the schedule, and to which mover."""

from __future__ import annotations

import itertools

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.boundary import Whole
from daskpar.layout.passes import mover
from daskpar.layout.plan import Op, Output
from daskpar.layout.synchronous import Synchronous
from daskpar.layout.tiles import Strips
from daskpar.layout.width import Branches

PASSES = ("forward", "loss", "backward")


def step(layout: Layout, **options: object) -> list[Op]:
    return Synchronous(spec_of(layout, **options), False).plan().step.ops


def order(ops: list[Op], stage: int) -> list[tuple[str, int]]:
    """Return the verbs and micro-batches of a stage, in the order of its operations."""
    return [(op.kind.verb[0], op.coordinates[2]) for op in ops if op.kind.verb in PASSES and op.slot == stage
            and op.kind.verb != "loss"]  # fmt: skip


@pytest.mark.parametrize(
    "pipeline, expected",
    [
        ("gpipe", ["f0 f1 f2 b0 b1 b2", "f0 f1 f2 b0 b1 b2"]),
        ("1f1b", ["f0 f1 b0 f2 b1 b2", "f0 b0 f1 b1 f2 b2"]),
    ],
)
def test_each_stage_works_in_the_order_of_its_schedule(pipeline: str, expected: list[str]) -> None:
    ops = step(Layout(stages=2, microbatches=3, pipeline=pipeline))
    for stage, text in enumerate(expected):
        assert order(ops, stage) == [(word[0], int(word[1])) for word in text.split()]


def test_a_stage_waits_for_its_own_operation_before() -> None:
    """The order is a dependency: the argument `after`, beside what flows in."""
    ops = step(Layout(stages=2, microbatches=3, pipeline="1f1b"))
    for stage in (0, 1):
        numbers = [
            n for n, op in enumerate(ops) if op.kind.verb in ("forward", "backward") and op.slot == stage
        ]
        for before, n in itertools.pairwise(numbers):
            assert before in ops[n].reads


def test_gradients_of_micro_batches_add_up_in_their_order() -> None:
    ops = step(Layout(microbatches=3))
    backward = [n for n, op in enumerate(ops) if op.kind.verb == "backward"]
    before = [
        ops[n].arguments[7] for n in backward
    ]  # (model, step, where, input, above, upper, shared, before
    assert before == [None, Output(backward[0]), Output(backward[1])]


def test_forward_reads_the_part_before_and_backward_the_part_behind() -> None:
    ops = step(Layout(stages=2))
    number = {(op.kind.verb, op.slot): n for n, op in enumerate(ops) if op.kind.verb != "update"}
    load, loss = number["load", 0], number["loss", 1]
    assert ops[number["forward", 0]].arguments[3] == Output(load)
    assert ops[number["forward", 1]].arguments[3] == Output(number["forward", 0])
    assert ops[loss].arguments[3:5] == (Output(load), Output(number["forward", 1]))
    assert ops[number["backward", 1]].arguments[3:5] == (Output(number["forward", 1]), Output(loss))
    upper = (Output(number["forward", 0]), Output(number["backward", 1]))
    assert ops[number["backward", 0]].arguments[3:5] == upper


def test_the_parts_of_a_stage_are_passed_backward_from_the_last() -> None:
    ops = step(Layout(width=2))
    parts = [(op.kind.verb, op.coordinates[1]) for op in ops if op.kind.verb in ("forward", "backward")]
    assert parts == [("forward", 0), *[("forward", 1)] * 2, *[("backward", 1)] * 2, ("backward", 0)]


def test_lanes_that_share_statistics_meet_forward_and_backward() -> None:
    model = ["flatten", {"dense": 8}, {"batch_norm": {"sync": True}}, {"dense": 10}]
    ops = step(Layout(data=2), model=model)
    trees = [op for op in ops if op.kind.name == "reduce-statistics"]
    assert [(op.function, op.coordinates[0]) for op in trees] == [
        ("reduce_moments", "forward"),
        ("reduce_statistics", "backward"),
    ]
    assert [sorted(ops[n].slot for n in op.reads) for op in trees] == [[0, 1], [0, 1]]  # type: ignore[type-var]


def test_each_cut_has_its_mover() -> None:
    conv = [{"conv2d": {"channels": 4, "padding": "same"}}, "flatten", {"dense": 10}]
    tiles = spec_of(Layout(tiles=2), conv).partition.parts
    width = spec_of(Layout(width=2)).partition.parts
    assert [type(mover(part)) for part in tiles] == [Strips, Whole]
    assert [type(mover(part)) for part in width] == [Whole, Branches]
