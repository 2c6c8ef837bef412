"""The boundary of a part in one piece: values pass as they are, in both directions."""

from __future__ import annotations

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.boundary import Whole
from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD
from daskpar.layout.plan import Output, Section

ROWS = MicrobatchId(0, 0)


@pytest.mark.parametrize("verb", [FORWARD, BACKWARD])
def test_a_value_passes_as_it_is(verb: str) -> None:
    draft = Draft(Section(), spec_of(Layout(stages=2)), True)
    into, value = Output(3), Output(5)
    assert Whole().begin(draft, 0, 0, value) == [StageInput(value)]
    assert Whole().scatter(draft, verb, 1, ROWS, value) == [StageInput(value)]
    assert Whole().gather(draft, verb, 1, ROWS, into, [value]) == value
    assert Whole().exchange(draft, verb, 1, ROWS, [value]) is None
    assert draft.section.ops == []


def test_only_what_another_process_needs_is_sent_and_once() -> None:
    """The neighbour of the boundary: `Draft.send`, which every mover goes by."""
    from daskpar.layout.passes import _LOSS

    for across in (False, True):
        draft = Draft(Section(), spec_of(Layout(stages=2)), across)
        value = draft.section.add(_LOSS, "forward_loss", (0, 0), 0)
        assert draft.send(value, 0, "gradient") == value  # it stays at its slot
        sent = draft.send(value, 1, "gradient")
        assert draft.send(value, 1, "gradient") == sent
        names = [(op.kind.name, op.function, op.coordinates, op.slot) for op in draft.section.ops[1:]]
        expected = ("send-gradient", "send_gradient", (0, 0, "forward-loss"), 0)
        assert (sent == value) is (not across) and names == ([expected] if across else [])
