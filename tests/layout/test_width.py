"""Cut in width: the same value for all branches; their outputs are summed, or laid side by side."""

from __future__ import annotations

from typing import Any

import pytest
from specs import spec_of

from daskpar import InputError, Layout
from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD
from daskpar.layout.plan import Kind, Output, Section
from daskpar.layout.width import Branches

PAIR = ["flatten", {"dense": 8}, "relu", {"dense": 10}, {"layer_norm": {}}]
ONE = ["flatten", {"dense": 8}, {"layer_norm": {}}, {"dense": 3}]  # 3 outputs cannot be halved
ROWS = MicrobatchId(0, 0)


def drafted(layout: Layout, model: Any) -> tuple[Draft, int, Output, list[Output]]:
    """Return a draft with a value and one of each branch, and the number of the first part in width."""
    spec = spec_of(layout, model, metrics=["accuracy"])
    draft = Draft(Section(), spec, False)
    number = next(i for i, part in enumerate(spec.partition.parts) if part.section is not None)
    kind = Kind("value", "value", ("branch",))
    into = draft.section.add(kind, "barrier", (-1,), 0)
    return draft, number, into, [draft.section.add(kind, "barrier", (b,), b) for b in range(layout.width)]


def test_every_branch_gets_the_whole_value() -> None:
    draft, part, into, _ = drafted(Layout(width=4), PAIR)
    assert Branches().begin(draft, part, 0, into) == [StageInput(into)] * 4
    assert Branches().scatter(draft, FORWARD, part, ROWS, into) == [StageInput(into)] * 4
    assert Branches().exchange(draft, FORWARD, part, ROWS, [into]) is None


@pytest.mark.parametrize(
    "verb, model, expected",
    [
        (FORWARD, PAIR, [("reduce-activation", "join_forward", True)]),
        (FORWARD, ONE, [("join-activation", "join_forward", False)]),
        (BACKWARD, PAIR, [("reduce-activation", "join_backward", None)]),
        (BACKWARD, ONE, [("reduce-activation", "join_backward", None)]),
    ],
    ids=["summed", "joined", "gradient of a pair", "gradient of one"],
)
def test_outputs_become_one_value(verb: str, model: Any, expected: Any) -> None:
    layout = Layout(width=2)
    draft, part, into, branches = drafted(layout, model)
    whole = Branches().gather(draft, verb, part, ROWS, into, branches)
    ops = draft.section.ops[3:]
    sums = [op.arguments[0] if verb == FORWARD else None for op in ops]
    assert [(o.kind.name, o.function, s) for o, s in zip(ops, sums, strict=True)] == expected
    assert ops[-1].reads == [0, 1, 2] and whole == Output(len(draft.section.ops) - 1)


def test_more_branches_than_the_fan_in_are_summed_by_a_tree() -> None:
    draft, part, into, branches = drafted(Layout(width=4, fan_in=2), PAIR)
    Branches().gather(draft, FORWARD, part, ROWS, into, branches)
    ops = draft.section.ops[5:]
    assert [(op.function, op.reads, op.slot) for op in ops] == [
        ("add_outputs", [1, 2], 0),
        ("add_outputs", [3, 4], 2),
        ("join_forward", [0, 5, 6], 0),
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "lamb"}, r"^layout\.width=2 cuts tensors, but lamb needs the norms"),
        (
            {"model": ["flatten", {"dense": 8}, {"batch_norm": {"sync": True}}, {"dense": 10}]},
            r"^layout\.width=2 cannot be had with batch_norm: {sync: true}",
        ),
        ({"model": ["flatten", {"dense": 7}]}, r"^layout\.width=2: no layer of this model can be cut"),
    ],
    ids=["norms", "statistics", "odd"],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(Layout(width=2), **options)
