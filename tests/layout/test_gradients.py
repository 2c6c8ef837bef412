"""The reduction of gradients: a tree for each part and owner, at the owners' slots, of what they own."""

from __future__ import annotations

from typing import Any

import pytest
from specs import spec_of

from daskpar import Layout
from daskpar.layout.plan import Op, Output, Section
from daskpar.layout.synchronous import Synchronous


def step(layout: Layout, across: bool = False, **options: Any) -> Section:
    return Synchronous(spec_of(layout, **options), across).plan().step


def named(section: Section, name: str) -> list[Op]:
    return [op for op in section.ops if op.kind.name == name]


def test_up_to_the_fan_in_the_owners_add_for_themselves() -> None:
    section = step(Layout(data=4))
    assert named(section, "reduce-gradient") == []
    assert len(section.results["gradient 0"]) == 4


def test_beyond_it_a_tree_adds_up_where_its_first_lane_is() -> None:
    section = step(Layout(data=5, fan_in=2))
    trees = named(section, "reduce-gradient")
    assert [(op.coordinates, op.slot) for op in trees] == [((0, 0), 0), ((0, 1), 2), ((1, 0), 0)]
    last = section.ops.index(trees[-1])
    fifth = section.results["gradient 0"][1]  # passed on alone
    assert section.results["gradient 0"][0] == Output(last)
    assert section.ops[fifth.number].slot == 4  # type: ignore[union-attr]


def test_every_stage_has_a_tree_of_its_own_gradient_to_one_sum() -> None:
    section = step(Layout(data=2, stages=2))
    trees = named(section, "reduce-gradient")
    assert sorted(op.coordinates[0] for op in trees) == [0, 1]  # the part
    for op in trees:
        backward = [section.ops[n] for n in op.reads]
        assert [b.coordinates for b in backward] == [(lane, op.coordinates[0]) for lane in (0, 1)]
    assert all(len(section.results[f"gradient {h}"]) == 1 for h in (0, 1))


def test_shards_get_their_slice_of_each_lane() -> None:
    section = step(Layout(data=2, shards=3))
    picks = named(section, "pick-gradient")
    slices = sorted({tuple(op.coordinates[-2:]) for op in picks})
    assert slices == [(0, 208), (208, 416), (416, 624)]
    for h, extent in enumerate(slices):
        sources = [section.ops[source.number] for source in section.results[f"gradient {h}"]]
        assert [(op.coordinates[3], op.coordinates[-2:]) for op in sources] == [(0, extent), (1, extent)]
        assert [op.slot for op in sources] == [0, 1]  # picked where the gradient is


@pytest.mark.parametrize("layout, leaves", [(Layout(data=2), 0), (Layout(data=3, shards=2), 3)], ids=repr)
def test_sums_travel_apart_where_owners_are_several(layout: Layout, leaves: int) -> None:
    """A single owner finds loss and metrics with its gradients."""
    section = step(layout)
    assert len(named(section, "sums")) == leaves
    assert ("sums" in section.results) is (leaves > 0)


def test_tiles_share_one_gradient() -> None:
    conv = [{"conv2d": {"channels": 4, "padding": "same"}}, "flatten", {"dense": 10}]
    section = step(Layout(tiles=2), model=conv)
    tree = next(op for op in named(section, "reduce-gradient") if op.coordinates[0] == 0)
    assert [section.ops[n].coordinates for n in tree.reads] == [(0, 0, 0), (0, 0, 1)]


@pytest.mark.parametrize(
    "layout", [Layout(data=6, stages=2), Layout(data=2, shards=2), Layout(width=2)], ids=repr
)
def test_what_others_wait_for_is_urgent(layout: Layout) -> None:
    """Reducing and sending go before passes, which have more work to follow."""
    ops = step(layout, across=True).ops
    urgent = {op.kind.verb for op in ops if op.kind.urgent}
    patient = {op.kind.verb for op in ops if not op.kind.urgent}
    assert {"pick", "reduce"} <= urgent | {"reduce"} and not urgent & patient
    assert {"forward", "backward", "load", "update"} <= patient
