"""How long a lost cluster is waited for: the setting, and how often the scheduler is asked."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import dask
import pytest

from daskpar import InputError
from daskpar.cluster import patience
from daskpar.cluster.patience import Patience, read_patience
from daskpar.errors import ClusterLostError


@pytest.mark.parametrize(
    "value, configured, seconds",
    [
        (None, None, 600.0),
        (None, "5 minutes", 300.0),
        (None, 7, 7.0),
        (3, "5 minutes", 3.0),
        ("2 hours", None, 7200.0),
        ("90", None, 90.0),
        (math.inf, None, math.inf),
    ],
)
def test_seconds(value: Any, configured: Any, seconds: float) -> None:
    with dask.config.set({"daskpar.patience": configured}):
        assert read_patience(value) == seconds


@pytest.mark.parametrize("value", [0, -1, "soon", True, math.nan, [3]], ids=str)
def test_what_is_no_time_names_where_it_was_set(value: Any) -> None:
    with pytest.raises(InputError, match=r"^patience=.*: expected seconds above 0, or a text such as"):
        read_patience(value)
    with dask.config.set({"daskpar.patience": value}):
        with pytest.raises(InputError, match=r"^daskpar\.patience=.*: expected seconds above 0"):
            read_patience()


class Client:
    """A client without workers that notes at which times its scheduler is asked."""

    def __init__(self, clock: Any):
        self.scheduler, self.clock = SimpleNamespace(address="tcp://10.0.0.1:8786"), clock
        self.asked: list[float] = []

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        self.asked.append(self.clock.now)
        return {"workers": {}}


@pytest.mark.parametrize(
    "seconds, asked, ends", [(600, [5, 10, 15, 20], None), (12, [3, 6, 9, 12, 15], 15), (2, [1, 2, 3], 3)]
)
def test_a_scheduler_is_asked_seldom_and_a_loss_counts_from_the_first_answer(
    seconds: float, asked: list[float], ends: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most each 5 s, or four times within the patience; a look is made each second."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(patience, "time", clock)
    client = Client(clock)
    with dask.config.set({"daskpar.patience": seconds}):
        waiting = Patience(client)  # type: ignore[arg-type]
    waiting.begin()
    for second in range(1, 21):
        clock.now = float(second)
        if second == ends:
            with pytest.raises(ClusterLostError, match=rf"gave up after {seconds:.0f} s"):
                waiting.check()
            break
        waiting.check()
    assert client.asked == asked
