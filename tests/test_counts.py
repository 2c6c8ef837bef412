"""What a step costs, counted where it happens: the scheduler's transitions, bytes between workers.

Times are reported by the benchmark; these counts guard them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dask
import numpy as np
import pytest
from dask.utils import key_split
from distributed import Client

from daskpar import Layout, Trainer, open_client

STEPS, CUT = 40, 10
MODEL = [{"dense": 24}, "relu", {"dense": 3}]
PARAMETERS = 8 * 24 + 24 + 24 * 3 + 3


def trained(client: Client, layout: Layout, **given: Any) -> Trainer:
    x, y = np.random.default_rng(0).random((64, 8)), np.arange(64) % 3
    how = {"batch": 32, "steps": STEPS, "evaluate_every": f"{STEPS} steps", "layout": layout, **given}
    return Trainer(MODEL, client=client, profile=True, **how).fit(x, y)


@pytest.fixture(scope="module", autouse=True)
def long_logs() -> Iterator[None]:
    """Logs of transitions and transfers that remember all of a test."""
    with dask.config.set({"distributed.admin.low-level-log-length": 100_000}):
        yield


@pytest.fixture(scope="module")
def threads(long_logs: None) -> Iterator[Client]:
    """One worker with two threads, as `threads` has it."""
    with open_client("threads", workers=2, dashboard_port=0) as client:
        yield client


@pytest.fixture(scope="module")
def apart(long_logs: None) -> Iterator[Client]:
    """Two worker processes, between which values are sent."""
    with open_client("processes", workers=2, dashboard_port=0) as client:
        yield client


def computed(client: Client, trainer: Trainer) -> list[Any]:
    """The keys of a training in the order in which the scheduler saw them computed, by its transition log."""

    def log(dask_scheduler: Any) -> list[tuple[Any, str, str]]:
        return [tuple(entry[:3]) for entry in dask_scheduler.transition_log]

    own = trainer.trace_.below
    entries = client.run_on_scheduler(log)
    return [key for key, start, stop in entries if key in own and (start, stop) == ("processing", "memory")]


def hops(trainer: Trainer, keys: list[Any]) -> int:
    """Tasks on the longest chain of those that were computed, one after the other."""
    depth: dict[Any, int] = {}
    for key in keys:
        depth[key] = 1 + max((depth.get(d, 0) for d in trainer.trace_.below[key]), default=0)
    return max(depth.values())


@pytest.mark.parametrize(
    "layout, each, more",
    [
        (Layout(), {"grad": 1}, 0),
        (Layout(data=2), {"grad": 2}, 0),
        (Layout(data=4), {"grad": 4}, 0),
        (Layout(data=8), {"grad": 8, "reduce-gradient": 2}, 1),
    ],
    ids=str,
)
def test_one_hop_a_step_by_the_scheduler_s_log(
    threads: Client, layout: Layout, each: dict[str, int], more: int
) -> None:
    """Beyond the fan-in of 4 a level of the tree is one more. What there is once a run is not counted."""
    longer, shorter = (trained(threads, layout, steps=steps) for steps in (STEPS, STEPS // 2))
    for_all, for_half = (computed(threads, trainer) for trainer in (longer, shorter))
    chain = hops(longer, for_all) - hops(shorter, for_half)
    assert chain == (1 + more) * STEPS // 2
    tasks = Counter(map(key_split, for_all)) - Counter(map(key_split, for_half))
    assert {kind: tasks[kind] for kind in each} == {kind: n * STEPS // 2 for kind, n in each.items()}
    assert set(tasks) <= {*each, "report"}  # a window reports once, however long it is


def test_gradients_meet_while_the_backward_pass_goes_on(threads: Client) -> None:
    """At `grain: layer` each layer's gradients have a tree of their own: the last layer's does not wait."""
    trainer = trained(threads, Layout(data=2, grain="layer"), steps=6)
    order = [(key_split(key), key[1]) for key in computed(threads, trainer) if len(key) > 2]
    for step in range(1, 6):
        first_sum = order.index(("reduce-gradient", step))
        backward = [i for i, (kind, s) in enumerate(order) if s == step and kind.startswith("backward-")]
        assert backward[0] < first_sum < backward[-1]


def test_windows_are_one_task_each_and_the_client_fetches_only_their_logs(threads: Client) -> None:
    trainer = trained(threads, Layout(grain="window"), evaluate_every=f"{CUT} steps")
    kinds = Counter(map(key_split, computed(threads, trainer)))
    windows = kinds.pop("train-window")
    assert STEPS // CUT <= windows <= 4 * STEPS // CUT  # the first are short
    assert kinds.pop("report") == windows
    assert kinds.pop("update") == STEPS // CUT
    assert set(kinds) <= {"load-model", "load-data", "load-state"}


def received(client: Client) -> int:
    """Bytes that workers have had sent to them by others, since they began."""
    logs = client.run(lambda dask_worker: [entry["total"] for entry in dask_worker.transfer_incoming_log])
    return sum(map(sum, logs.values()))


def test_nothing_is_sent_or_copied_between_workers_that_are_threads(threads: Client) -> None:
    """One worker holds all: a lane's task gets the very arrays that another has made."""
    before = received(threads)
    trainer = trained(threads, Layout(data=2))
    assert received(threads) == before
    assert sum(task.kind == "grad" for task in trainer.trace_.ran) == 2 * STEPS
    assert all(not task.transfers for task in trainer.trace_.ran)


@pytest.mark.parametrize("compression, size", [("full", 4), ("float16", 2)])
def test_of_a_step_only_gradients_are_sent(apart: Client, compression: str, size: int) -> None:
    """Two lanes: each is sent the other's gradient, once a step; a state never moves."""
    moved = []
    for steps in (STEPS // 2, STEPS):
        before = received(apart)
        trained(apart, Layout(data=2, compression=compression), steps=steps)
        moved.append(received(apart) - before)
    each = (moved[1] - moved[0]) / (STEPS // 2)
    gradients = 2 * size * PARAMETERS
    assert gradients <= each <= gradients + 2 * 1024  # the rest is sums, and what wraps them
