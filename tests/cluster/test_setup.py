"""What is set on schedulers and workers."""

from __future__ import annotations

import logging
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from daskpar.backend import blas
from daskpar.cluster import setup


def prepare(client: Any, lanes: int, threads: int | None = None) -> None:
    setup.prepare(client, client.scheduler_info(n_workers=-1)["workers"], lanes, threads)


def intervals(dask_scheduler: Any) -> list[float]:
    return [stream.interval for stream in dask_scheduler.stream_comms.values()]


def worker_interval(dask_worker: Any) -> float:
    return dask_worker.batched_stream.interval


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_messages_are_sent_at_once(kind: str, threads_client: Any, processes_client: Any) -> None:
    client = {"threads": threads_client, "processes": processes_client}[kind]
    prepare(client, 2)
    assert set(client.run_on_scheduler(intervals)) == {0}
    assert set(client.run(worker_interval).values()) == {0}


def test_workers_that_join_later_are_set_up_too(processes_client: Any) -> None:
    prepare(processes_client, 2)
    processes_client.restart()
    assert set(processes_client.run_on_scheduler(intervals)) == {0}
    assert set(processes_client.run(worker_interval).values()) == {0}


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_blas_threads_go_by_the_layout(lanes: int, processes_client: Any) -> None:
    prepare(processes_client, lanes)
    expected = max(1, blas.cores() // lanes)
    described = setup.describe(processes_client)
    assert set(described) == {"0", "1"}
    for libraries in described.values():
        assert {lib["threads"] for lib in libraries} == {expected}
        assert {"library", "version", "architecture", "threads"} == set(libraries[0])


def test_blas_threads_can_be_given(processes_client: Any) -> None:
    prepare(processes_client, 1, threads=1)
    assert {lib["threads"] for libs in setup.describe(processes_client).values() for lib in libs} == {1}


@pytest.mark.parametrize(
    "server",
    [SimpleNamespace(), SimpleNamespace(stream=object()), SimpleNamespace(stream={})],
    ids=["no attribute", "no interval", "no item"],
)
def test_another_distributed_is_warned_of_not_failed(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    item = "worker" if isinstance(getattr(server, "stream", None), dict) else None
    with caplog.at_level(logging.WARNING):
        assert not setup.send_at_once(server, "stream", item)
    assert "distributed has no stream to speed up" in caplog.text


def test_interrupts_of_the_terminal_do_not_reach_a_nannys_workers(processes_client: Any) -> None:
    prepare(processes_client, 1)
    before = processes_client.run(os.getpid)
    for pid in before.values():
        os.kill(pid, signal.SIGINT)
    assert processes_client.run(os.getpid) == before


class Keeps:
    """An actor that does nothing."""


def alive_and_gone(actor: Any) -> tuple[bool, bool]:
    return setup.has_a_worker(actor), setup.has_a_worker(SimpleNamespace(key="gone"))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_task_knows_whether_an_actor_lives(kind: str, request: pytest.FixtureRequest) -> None:
    """Without a client of its own, which would be the current one of the process."""
    client = request.getfixturevalue(f"{kind}_client")
    before = client.run(worker_has_client)  # of workers that others have used
    actor = client.submit(Keeps, actor=True)
    assert client.submit(alive_and_gone, actor, pure=False).result(timeout=100) == (True, False)
    assert client.run(worker_has_client) == before


def worker_has_client(dask_worker: Any) -> bool:
    return dask_worker._client is not None
