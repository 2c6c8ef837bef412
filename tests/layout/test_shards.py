"""Shards of parameters: slices of the flat buffer that begin on cache lines, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from specs import spec_of

from daskpar import InputError, Layout
from daskpar.layout.owners import shard_spans
from daskpar.layout.partition import Span


@pytest.mark.parametrize(
    "shards, expected", [(1, [624]), (2, [320, 624]), (3, [208, 416, 624]), (39, list(range(16, 625, 16)))]
)
def test_slices_end_at_multiples_of_sixteen_elements(shards: int, expected: list[int]) -> None:
    """So that each begins on a cache line: 64 bytes of float32."""
    (place,) = spec_of(Layout(data=2, shards=2)).partition.places
    starts = [0, *expected[:-1]]
    assert shard_spans(place, 0, shards) == [Span(0, a, b) for a, b in zip(starts, expected, strict=True)]


@pytest.mark.parametrize(
    "shards, options, message",
    [
        (0, {}, r"^layout\.shards=0 must be at least 1"),
        (611, {}, r"^layout\.shards=611 is more than the 610 parameters"),
        (2, {"optimizer": "lamb"}, r"^layout\.shards=2 cuts tensors, but lamb needs the norms"),
        (2, {"optimizer": "lars"}, r"^layout\.shards=2 cuts tensors, but lars needs the norms"),
    ],
)
def test_refused(shards: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec_of(Layout(shards=shards), **options)


def test_the_most_there_can_be() -> None:
    assert spec_of(Layout(shards=610)).layout.shards == 610
