"""Clusters that tests share: one that loses a worker is whole again for the next test."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from clusters import SharedCluster, current_client

from daskpar.cluster.clients import THREADED, current_client as chosen_client

KINDS = pytest.mark.parametrize("kind", ["threads", "processes"])


def client_of(kind: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{kind}_client")


@KINDS
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_worker_that_one_test_kills_is_there_for_the_next(
    time: str, kind: str, request: pytest.FixtureRequest
) -> None:
    client = client_of(kind, request)
    workers = client.scheduler_info(n_workers=-1)["workers"]
    assert sum(worker["nthreads"] for worker in workers.values()) == 2
    assert client.submit(sum, [1, 2], pure=False).result(timeout=100) == 3
    if kind == "threads":
        client.cluster.sync(client.cluster.workers[0].close)
    else:
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


def test_a_client_that_was_closed_is_opened_anew(shared_clusters: dict[str, SharedCluster]) -> None:
    shared = shared_clusters["threads"]
    with shared.current() as client:
        client.close()
    started = shared.started
    with shared.current() as client:
        assert client.submit(sum, [1, 2], pure=False).result(timeout=100) == 3
    assert shared.started == started + 1


def test_a_test_that_wants_no_client_finds_none(shared_clusters: dict[str, SharedCluster]) -> None:
    shared_clusters["threads"].client()
    assert current_client() is None and chosen_client(None) == THREADED
    with shared_clusters["threads"].current() as client:
        assert current_client() is chosen_client(None) is client
    assert current_client() is None and chosen_client(None) == THREADED
