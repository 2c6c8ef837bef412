"""What crosses between workers arrives whole, and where arrays may be computed with."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from daskpar.data.chunk import Chunk
from daskpar.nn.operations import Flow
from daskpar.tasks.parts import PartInput
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, State

ARRAY = np.arange(6, dtype=np.float32)
GRADIENT = Gradient(ARRAY, (1.0, 2.0), 16)
VALUES = [
    State(3, ARRAY, {"mean": ARRAY + 1}, ((0, (1.0, 2.0)),)),
    GRADIENT,
    Lane(State(3, ARRAY, {}), GRADIENT),
    Chunk(ARRAY.reshape(3, 2), ARRAY[:3]),
    Forward(ARRAY, [(ARRAY, None), ARRAY + 2], ARRAY > 2, (ARRAY,), ARRAY),
    Backward(None, (GRADIENT,), (ARRAY,), ARRAY),
    Forward(ARRAY, PartInput(Flow(ARRAY + 1, None, (ARRAY,)), ARRAY)),
]


def arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for part in parts for found in arrays(part)]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_arrays_arrive_aligned_wherever_their_message_lay(value: Any) -> None:
    buffers: list[Any] = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    odd = [np.frombuffer(b"x" + bytes(b.raw()), np.uint8)[1:] for b in buffers]
    found = pickle.loads(data, buffers=odd)
    assert type(found) is type(value)
    assert all(a.flags.aligned for a in arrays(found))
    for a, b in zip(arrays(found), arrays(value), strict=True):
        np.testing.assert_array_equal(a, b)
