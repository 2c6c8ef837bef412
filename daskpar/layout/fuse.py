"""Operator fusion: operations of one slot become one, if no other operation reads the values in between.

    grain: step      load-batch ─> forward-stage ─> forward-loss ─> backward-stage    →  grad
                     update ─> grad                          (threads only)           →  grad
    grain: window    all operations of several steps, of all lanes                    →  train-window

A fused task calls the functions of its operations in the same order (`daskpar.tasks.fused`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from daskpar.layout.arguments import (
    AllCarried,
    AllStreams,
    Carried,
    CountCarried,
    Now,
    Output,
    Source,
    WindowChunks,
    reading,
)
from daskpar.layout.described import Described
from daskpar.layout.owners import is_whole
from daskpar.layout.plan import Kind, Op, Plan, Section

GRAD = Kind("grad", "grad", ("lane",))
WINDOW = Kind("train-window", "window", ())
_PASS = ("load", "forward", "loss", "backward")


def fused(plan: Plan, run: Described, across_processes: bool) -> Plan:
    """Return the plan at the grain of the run's layout."""
    layout = run.layout
    if layout.grain == "window":
        return _windows(plan, run)
    if not is_whole(layout, run.partition):
        return plan
    step = _with_whole_passes(plan.step)
    if not across_processes and layout.shards == 1 and not layout.compresses:
        step = _with_updates_inside(step)
    return replace(plan, step=step)


def _with_whole_passes(section: Section) -> Section:
    """Return the section with each lane's pass, from its batch to its gradient, as one operation."""
    replaced: dict[int, Op | None] = {}
    for number, op in enumerate(section.ops):
        if op.kind.verb == "backward":
            chain = _chain(section.ops, number)
            load, forward = section.ops[chain[0]], section.ops[chain[1]]
            streams, parameters = load.arguments[2], forward.arguments[-1]
            arguments = (Now.MODEL, Now.STEP, streams, parameters, load.arguments[-1])
            replaced |= dict.fromkeys(chain)
            replaced[number] = Op(GRAD, "grad_model", load.coordinates, load.slot, arguments)
    return _rewritten(section, replaced)


def _chain(ops: Sequence[Op], last: int) -> list[int]:
    """Return the operations of a lane's pass, which ends at `last`, in order."""
    numbers, wanted = {last}, [last]
    while wanted:
        for number in ops[wanted.pop()].reads:
            if ops[number].kind.verb in _PASS and number not in numbers:
                numbers.add(number)
                wanted.append(number)
    assert {ops[number].slot for number in numbers} == {ops[last].slot}
    return sorted(numbers)


def _with_updates_inside(section: Section) -> Section:
    """Return the section with each update inside the operation that reads the new state.

    The value of the fused operation has both the state and the gradient.
    """
    replaced: dict[int, Op | None] = {}
    moved: dict[int, int] = {}
    for number, op in enumerate(section.ops):
        if op.kind != GRAD:
            continue
        _, _, streams, state, chunks = op.arguments
        assert isinstance(state, Output)
        update = section.ops[state.number]
        _, rate, fresh, before, gradients = update.arguments
        assert isinstance(gradients, AllCarried)
        count = CountCarried(gradients.variable)
        arguments = (Now.MODEL, Now.STEP, streams, rate, fresh, before, count, gradients, chunks)
        replaced[state.number] = None
        replaced[number] = Op(GRAD, "grad", op.coordinates, op.slot, arguments)
        moved[state.number] = number
    return _rewritten(section, replaced, moved)


def _windows(plan: Plan, run: Described) -> Plan:
    """Return the plan with many steps of all lanes as one operation, whose threads are the lanes."""
    layout, lanes = run.layout, range(run.layout.data)
    section = Section()
    window = section.add(
        *(WINDOW, "train_window", (), layout.slot(0)),
        *(
            Now.MODEL,
            Now.RATES,
            AllStreams(lanes),
            layout.fan_in,
            Now.FRESH,
            Carried("state 0"),
            WindowChunks(lanes),
        ),
    )
    section.results = {"state 0": (window,) * layout.data, "gradient 0": ()}
    return replace(plan, step=section, whole_windows=True)


def _rewritten(
    section: Section, replaced: Mapping[int, Op | None], moved: Mapping[int, int] | None = None
) -> Section:
    """Return the section with some operations replaced, and those replaced by None left out.

    `moved` maps an operation that was left out to the one that computes its value now.
    """
    moved = moved or {}
    kept = [n for n in range(len(section.ops)) if replaced.get(n, section.ops[n]) is not None]
    place = {number: position for position, number in enumerate(kept)}

    def renumbered(argument: object) -> object:
        return reading(argument, lambda output: Output(place[moved.get(output.number, output.number)]))

    def source(value: Source) -> Source:
        return value if isinstance(value, Carried) else Output(place[moved.get(value.number, value.number)])

    ops = []
    for number in kept:
        op = replaced.get(number) or section.ops[number]
        ops.append(op._replace(arguments=tuple(map(renumbered, op.arguments))))
    results = {name: tuple(map(source, values)) for name, values in section.results.items()}
    return Section(ops, results)
