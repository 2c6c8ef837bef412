"""The end of a cluster of pods: what is waited for, and what is said of the rest."""

from __future__ import annotations

import asyncio
import logging

import pytest
from fake_api import FakeApi, pod

from daskpar.cluster.kubernetes import deletion
from daskpar.cluster.kubernetes.deletion import delete


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "_POLL", 0)
    monkeypatch.setattr(deletion, "_SECONDS", 0.05)
    monkeypatch.setattr(deletion, "_RELEASE", 0.01)


def messages(api: FakeApi, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.INFO, "daskpar"):
        asyncio.run(delete(api, "train"))  # type: ignore[arg-type]
    return [record.getMessage() for record in caplog.records]


def a_cluster(poll: object = lambda api, reads: None) -> FakeApi:
    api = FakeApi(poll)  # type: ignore[arg-type]
    api.add("daskclusters", {"metadata": {"name": "train"}})
    api.add("pods", pod("train-worker-1"))
    return api


def test_it_waits_until_all_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    def operator(api: FakeApi, reads: int) -> None:
        if reads == 5:
            api.remove("pods")
        if reads == 6:
            api.remove("daskclusters")

    api = a_cluster(operator)
    assert messages(api, caplog) == []
    assert not api.items and api.requests == [("delete", "daskclusters", "train")]


def test_what_is_left_is_named(caplog: pytest.LogCaptureFixture) -> None:
    (text,) = messages(a_cluster(), caplog)
    assert "not gone after 0 s; left: pod train-worker-1; see `kubectl get" in text


def test_pods_that_a_busy_operator_creates_late_go_with_the_cluster(caplog: pytest.LogCaptureFixture) -> None:
    def operator(api: FakeApi, reads: int) -> None:
        if reads == 3:
            api.add("pods", pod("train-scheduler-1", "scheduler"))
        if ("daskclusters", "train") not in api.items:  # Kubernetes deletes what belonged to it
            api.remove("pods")

    api = a_cluster(operator)
    api.remove("pods")
    assert messages(api, caplog) == [] and not api.items


def test_pods_that_are_ending_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    api = a_cluster(lambda api, reads: api.remove("daskclusters") if reads == 4 else None)
    api.items["pods", "train-worker-1"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert messages(api, caplog) == []


def test_an_operator_that_is_gone_does_not_hold_up_the_program(caplog: pytest.LogCaptureFixture) -> None:
    api = a_cluster()
    api.remove("pods")
    assert messages(api, caplog) == [] and not api.items
    assert api.requests == [("delete", "daskclusters", "train"), ("release", "daskclusters", "train")]


def test_a_creation_on_its_way_is_deleted_as_well(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, slept = FakeApi(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if seconds == 1:
            api.add("daskclusters", {"metadata": {"name": "train"}})
        else:
            api.remove("daskclusters")

    monkeypatch.setattr(deletion.asyncio, "sleep", sleep)
    assert messages(api, caplog) == []
    assert [request[0] for request in api.requests] == ["delete", "delete"] and slept == [1, 0]
