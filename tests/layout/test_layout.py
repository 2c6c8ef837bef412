"""Layouts: what they refuse, and which streams belong to which lane."""

from __future__ import annotations

from typing import Any

import pytest

from daskpar import InputError, Layout


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"data": 0}, "layout.data=0 must be at least 1"),
        ({"grain": "fine"}, "layout.grain='fine' is not known; use one of window, step, stage, layer"),
        ({"fan_in": 1}, "layout.fan_in=1 must be at least 2"),
        ({"wire": "float16"}, "layout.wire is called layout.compression now; write compression"),
        ({"schedule": "gpipe"}, "layout.schedule is called layout.pipeline now; write pipeline"),
        ({"compression": "float8"}, "layout.compression='float8' is not known; use one of full, float16"),
        (
            {"compression": "float16", "grain": "window"},
            "layout.compression=float16 is for lanes that add up",
        ),
        (
            {"compression": "float16", "update": "async"},
            "layout.compression=float16 is for lanes that add up",
        ),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        Layout(**arguments)


def test_lanes_share_the_streams() -> None:
    layout = Layout(data=4)
    assert [layout.streams(lane, 8) for lane in range(4)] == [
        range(0, 2),
        range(2, 4),
        range(4, 6),
        range(6, 8),
    ]
