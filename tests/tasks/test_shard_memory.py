"""What workers really hold of an optimizer's state, asked of them while they train."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, Layout, Trainer

MODEL = [{"dense": 256}, "relu", {"dense": 10}]


def held(dask_worker: Any) -> dict[int, int]:
    """Bytes of slots in a worker's states of each step."""
    found: dict[int, int] = defaultdict(int)
    for key, value in list(dask_worker.data.items()):
        lanes_own = isinstance(key, tuple) and key[0].startswith("update-") and "cut" not in key
        if lanes_own and len(key) > 2:  # not what is evaluated and saved
            found[key[1]] += sum(slot.nbytes for slot in value.state.slots.values())
    return dict(found)


class Asks(Callback):
    """Asks each worker after some steps, and keeps the most that one had of a single step."""

    def __init__(self, client: Any):
        self.client, self.most = client, defaultdict[str, int](int)

    def after_steps(self, trainer: Any, entries: Any) -> None:
        for worker, steps in self.client.run(held).items():
            self.most[worker] = max(self.most[worker], *steps.values(), 0)


@pytest.mark.parametrize("shards", [1, 2])
def test_each_worker_holds_its_shards_of_the_optimizer_s_state(processes_client: Any, shards: int) -> None:
    asks = Asks(processes_client)
    x, y = np.zeros((640, 64), np.float32), np.zeros(640, int)
    layout = Layout(data=2, shards=shards)
    Trainer(
        MODEL,
        optimizer="adam",
        client=processes_client,
        layout=layout,
        batch=32,
        epochs=3,
        callbacks=[asks],
    ).fit(x, y)
    whole = 2 * 4 * (64 * 256 + 256 + 256 * 10 + 10)  # two slots in float32
    assert len(asks.most) == 2
    for most in asks.most.values():
        assert most == pytest.approx(whole / shards, rel=0.02)
