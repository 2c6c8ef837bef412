"""The plan of a step: whole for every layout, and what is read from which step."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from daskpar import InputError, Layout, Trainer, tasks
from daskpar.data import Digits
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.layout.arguments import AllCarried, Carried, CountCarried, Output, Together
from daskpar.layout.compile import compile_plan
from daskpar.layout.layout import CUTS
from daskpar.layout.plan import SNAPSHOT, Plan, Section
from daskpar.tasks.types import Spec
from daskpar.train.problem import make_order, make_spec

CONV = {"conv2d": {"channels": 4, "padding": "same"}}
MODEL = [CONV, "relu", "flatten", {"dense": 8}, "relu", {"dense": 8}, "relu", {"dense": 10}]
LAYOUTS = [
    Layout(),
    Layout(data=8),
    Layout(grain="window", data=2),
    Layout(grain="layer", data=2),
    Layout(stages=2, microbatches=4),
    Layout(width=2, data=2, shards=2),
    Layout(tiles=2, stages=2),
    Layout(data=2, compression="float16"),
    Layout(replicas=2, average_every=3, outer="sgd"),
    Layout(replicas=2, data=2, shards=2, average_every=2, synchronous_until=4),
    Layout(data=4, update="stale", staleness=2),
    Layout(data=2, update="async", shards=2),
]


def spec_of(layout: Layout, **options: Any) -> Spec:
    settings = Trainer(MODEL, layout=layout, batch=64, **options).settings
    return make_spec(settings, Digits(), make_order(settings, 1797), [], [])


def sections(plan: Plan) -> list[Section]:
    return [plan.start, plan.step, plan.snapshot, *([plan.average] if plan.average else [])]


def inside(arguments: Any) -> list[Any]:
    """All arguments, those within lists too."""
    return [
        inner
        for argument in arguments
        for inner in (inside(argument.values) if isinstance(argument, Together) else [argument])
    ]


def check(plan: Plan) -> None:
    """Operations come after what they read, and whatever is carried over is left by some section."""
    left = {name for section in sections(plan) for name in section.results}
    for section in sections(plan):
        names = [(op.kind.name, op.coordinates) for op in section.ops]
        assert len(set(names)) == len(names)
        for number, op in enumerate(section.ops):
            assert callable(getattr(tasks, op.function))
            assert all(0 <= read < number for read in op.reads)
            assert len(op.kind.axes) == len(op.coordinates), op
            for argument in inside(op.arguments):
                if isinstance(argument, Carried | AllCarried | CountCarried):
                    assert argument.variable in left, (op.kind.name, argument)
        for sources in section.results.values():
            assert all(not isinstance(s, Output) or s.number < len(section.ops) for s in sources)
    assert len(plan.snapshot.results[SNAPSHOT]) == 1
    assert plan.logs and all(log.variable in left for log in plan.logs)


@pytest.mark.parametrize("across", [False, True], ids=["threads", "processes"])
@pytest.mark.parametrize("clip", [None, 1.0], ids=["", "clipped"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
def test_a_plan_is_whole(layout: Layout, clip: float | None, across: bool) -> None:
    from daskpar.optim import Clip

    options = {"clip": Clip(norm=clip)} if clip and layout.update == "sync" else {}
    check(compile_plan(spec_of(layout, **options), across))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        dict,
        data=st.integers(1, 4),
        stages=st.integers(1, 3),
        microbatches=st.integers(1, 3),
        width=st.sampled_from([1, 2]),
        tiles=st.sampled_from([1, 2]),
        shards=st.integers(1, 3),
        replicas=st.sampled_from([1, 2]),
        grain=st.sampled_from(["step", "stage", "layer", "window"]),
        compression=st.sampled_from(["full", "float16"]),
        recompute=st.booleans(),
        fan_in=st.integers(2, 4),
    ),
    st.booleans(),
)
def test_any_layout_that_is_not_refused_has_a_whole_plan(fields: dict[str, Any], across: bool) -> None:
    try:
        spec = spec_of(Layout(**fields))
    except InputError:
        return
    plan = compile_plan(spec, across)
    check(plan)
    slots = {op.slot for op in plan.step.ops} - {None}
    assert slots <= set(range(spec.layout.slots))


def reads(plan: Plan) -> set[tuple[str, int]]:
    """What a step reads of earlier ones: (variable without its number, steps back)."""
    return {
        (argument.variable.split()[0], argument.back)
        for op in plan.step.ops
        for argument in inside(op.arguments)
        if isinstance(argument, Carried | AllCarried)
    }


@pytest.mark.parametrize(
    "layout, expected",
    [
        (Layout(data=2), {("state", 1), ("gradient", 1)}),
        (Layout(data=2, compression="float16"), {("state", 1), ("gradient", 1), ("remainder", 1)}),
        (
            Layout(data=2, update="stale", staleness=2),
            {("servers", 1), ("pushed", 1), ("pushed", 3), ("barrier", 1)},
        ),
        (Layout(data=2, update="async"), {("servers", 1), ("pushed", 1), ("barrier", 1)}),
    ],
    ids=["sync", "compressed", "stale", "async"],
)
def test_orders_of_updates_are_edges_with_an_offset(layout: Layout, expected: set[tuple[str, int]]) -> None:
    assert reads(compile_plan(spec_of(layout))) == expected


def test_a_fused_operation_has_the_slot_and_the_outside_reads_of_its_parts() -> None:
    fine, coarse = (compile_plan(spec_of(Layout(data=2, grain=grain))).step for grain in ("stage", "step"))
    passes = [op for op in fine.ops if op.kind.verb in ("load", "forward", "loss", "backward")]
    grads = [op for op in coarse.ops if op.kind.verb == "grad"]
    assert [op.slot for op in grads] == sorted({op.slot for op in passes}) == [0, 1]
    assert not any(op.reads for op in grads)
    assert len(passes) == 8 and [op.kind.name for op in coarse.ops] == ["grad", "grad"]


def test_every_step_is_the_same_but_for_its_number_rate_and_chunks() -> None:
    spec = spec_of(Layout(data=2, stages=2, microbatches=2))
    graph = Graph("0a")
    model = graph.add("load-model", (), tasks.load_model, spec)
    chunks = {(s, c): graph.add("load-data", (s, c), tasks.barrier) for s in range(16) for c in range(8)}
    emitter = Emitter(spec, model, chunks)
    state = emitter.start(graph, 0)
    counts = []
    for _ in range(4):
        before = {name: set(layer) for name, layer in graph.tasks.items()}
        state = emitter.window(graph, state, [0.1])
        new = {n: {key[2:] for key in set(layer) - before.get(n, set())} for n, layer in graph.tasks.items()}
        counts.append({name: keys for name, keys in new.items() if keys})
    assert "update" not in counts[0]  # there are no gradients yet
    assert counts[1] == counts[2] == counts[3]
    assert counts[1].keys() - counts[0].keys() == {"update"}


def test_fields_of_cuts_are_those_of_a_layout() -> None:
    names = [field.name for cut in CUTS for field in fields(cut)]
    assert sorted(names) == sorted(field.name for field in fields(Layout)) and len(set(names)) == len(names)
