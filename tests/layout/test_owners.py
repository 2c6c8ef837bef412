"""Owners: who has a copy of which parameters, and where."""

from __future__ import annotations

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.owners import Owned, is_whole, owned, slot_of
from daskpar.layout.partition import Span

SIZES = (528, 96)  # of the two dense layers, each tensor on a multiple of 16 elements


@pytest.mark.parametrize(
    "layout, expected",
    [
        (Layout(data=3), [Owned(None, (0, 1, 2))]),
        (Layout(data=2, stages=2), [Owned(Span(n, 0, SIZES[n]), (0, 1)) for n in (0, 1)]),
        (Layout(data=4, shards=2), [Owned(Span(0, 0, 320), (0,)), Owned(Span(0, 320, 624), (2,))]),
        (Layout(data=2, shards=4), None),
    ],
    ids=["copies", "a copy of each stage", "slices", "more slices than lanes"],
)
def test_who_owns_what(layout: Layout, expected: list[Owned] | None) -> None:
    found = owned(layout, spec_of(layout).partition)
    if expected is None:
        assert [owner.tracks for owner in found] == [(0,), (0,), (1,), (1,)]
    else:
        assert list(found) == expected


def test_a_copy_is_where_its_place_is() -> None:
    layout = Layout(data=2, stages=2, width=2)
    partition = spec_of(layout).partition
    assert slot_of(layout, partition, None, 1) == layout.slot(1) == 4
    slots = {(p.stage, p.branch): slot_of(layout, partition, Span(n, 0, 0), 1)
             for n, p in enumerate(partition.places)}  # fmt: skip
    assert slots == {(stage, branch): 4 + 2 * stage + branch for stage, branch in slots}


@pytest.mark.parametrize(
    "layout, whole",
    [
        (Layout(data=2), True),
        (Layout(data=2, shards=2), True),
        (Layout(grain="stage"), False),
        (Layout(microbatches=2), False),
        (Layout(stages=2), False),
    ],
    ids=repr,
)
def test_a_pass_is_whole_where_nothing_cuts_the_model(layout: Layout, whole: bool) -> None:
    assert is_whole(layout, spec_of(layout).partition) is whole
