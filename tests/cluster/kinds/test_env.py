"""The cluster that the environment names: it is waited for, under one time limit."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from clusters import workers_in_this_process

from daskpar import ClusterStartError, InputError, open_client
from daskpar.cluster.kinds import env


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "_POLL", 0.02)


def test_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(env.VARIABLE, raising=False)
    with pytest.raises(InputError, match=r"^cluster\.kind=env: DASK_SCHEDULER_ADDRESS is not set; set it"):
        open_client("env").__enter__()


def test_a_scheduler_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(env.VARIABLE, "tcp://127.0.0.1:1")
    monkeypatch.setattr("daskpar.cluster.connecting.SECONDS", 0.1)
    message = r"^DASK_SCHEDULER_ADDRESS=tcp://127\.0\.0\.1:1: no scheduler answers there after 0\.3 s"
    with caplog.at_level(logging.INFO, "daskpar"), pytest.raises(ClusterStartError, match=message):
        open_client("env", timeout=0.3).__enter__()
    assert [r.getMessage() for r in caplog.records] == [
        "waiting for the scheduler at tcp://127.0.0.1:1 (Timed out)"
    ]


def test_a_name_that_is_not_known_yet(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, threads_client: Any
) -> None:
    """The service's name, the scheduler, and the workers come one after the other."""
    import socket

    calls: list[str] = []

    def connect(address: str) -> Any:
        calls.append(address)
        if len(calls) < 3:
            raise socket.gaierror("Name or service not known")
        return threads_client

    monkeypatch.setenv(env.VARIABLE, "tcp://train-scheduler:8786")
    monkeypatch.setattr(env, "client_of", connect)
    with caplog.at_level(logging.INFO, "daskpar"):
        assert env.Env()._connected("tcp://train-scheduler:8786", float("inf")) is threads_client
    assert len(calls) == 3
    assert [r.getMessage() for r in caplog.records] == [
        "waiting for the scheduler at tcp://train-scheduler:8786 (its name is not known)"
    ]


def test_it_waits_for_workers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with workers_in_this_process(1) as cluster:
        monkeypatch.setenv(env.VARIABLE, cluster.scheduler.address)
        message = r"1 of 2 workers are there after 0\.2 s \(cluster\.timeout\)$"
        with pytest.raises(ClusterStartError, match=message):
            open_client("env", workers=2, timeout=0.2).__enter__()
        grow = threading.Timer(0.1, cluster.scale, [2])
        grow.start()
        with caplog.at_level(logging.INFO, "daskpar"), open_client("env", workers=2) as client:
            assert len(client.scheduler_info()["workers"]) == 2
        grow.join()
        assert "1 of 2 workers are there; waiting" in caplog.text


def test_the_end_leaves_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with workers_in_this_process(1) as cluster:
        monkeypatch.setenv(env.VARIABLE, cluster.scheduler.address)
        for _ in range(2):
            with open_client("env") as client:
                assert client.submit(sum, [1, 2]).result() == 3
