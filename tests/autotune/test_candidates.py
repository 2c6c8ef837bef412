"""Layouts that are worth a thought for some workers, and how a layout is written."""

from __future__ import annotations

import pytest

from daskpar import Layout
from daskpar.autotune.candidates import candidates, format_layout
from daskpar.config import read_layout


def test_four_workers_have_thirteen_candidates() -> None:
    expected = [
        *(Layout(), Layout(grain="window"), Layout(data=4), Layout(data=4, grain="window")),
        Layout(data=4, shards=4),
        *(Layout(data=2, stages=2, microbatches=4), Layout(data=2, width=2)),
        *(Layout(data=2, sequence=2), Layout(data=2, tiles=2)),
        *(Layout(stages=4, microbatches=8), Layout(width=4), Layout(sequence=4), Layout(tiles=4)),
    ]
    assert candidates(4) == expected


def test_a_worker_alone_has_two() -> None:
    assert candidates(1) == [Layout(), Layout(grain="window")]


@pytest.mark.parametrize("workers", [2, 4, 6, 8])
def test_every_worker_has_a_slot_in_all_but_two(workers: int) -> None:
    found = candidates(workers)
    assert len(set(found)) == len(found)
    assert [layout.slots for layout in found] == [1, 1, *[workers] * (len(found) - 2)]
    assert all(layout.replicas == 1 and layout.update == "sync" for layout in found)


@pytest.mark.parametrize(
    "layout, text",
    [
        (Layout(), "{data: 1}"),
        (Layout(data=4, shards=2), "{data: 4, shards: 2}"),
        (Layout(stages=(3, 2)), "{stages: [3, 2]}"),
        (Layout(lanes=(3, 1)), "{lanes: [3.0, 1.0]}"),  # which says how many there are
        (Layout(data=2, update="stale", staleness=1), "{data: 2, update: stale, staleness: 1}"),
    ],
)
def test_a_layout_is_written_as_in_a_config(layout: Layout, text: str) -> None:
    written = format_layout(layout)
    assert sorted(written.strip("{}").split(", ")) == sorted(text.strip("{}").split(", "))
    assert Layout(**read_layout(written)) == layout


@pytest.mark.parametrize("layout", candidates(4), ids=format_layout)
def test_candidates_come_back_from_what_is_written(layout: Layout) -> None:
    assert Layout(**read_layout(format_layout(layout))) == layout
