"""The wait for the pods of a cluster: what it says, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import math
import time

import pytest
from fake_api import FakeApi, failed_create, pod, waiting

from daskpar import InputError
from daskpar.cluster.kubernetes import starting
from daskpar.cluster.kubernetes.starting import Start


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_POLL", 0)


def with_cluster(api: FakeApi, phase: str = "Created") -> FakeApi:
    api.add("daskclusters", {"metadata": {"name": "train"}, "status": {"phase": phase} if phase else {}})
    return api


def wait(api: FakeApi, component: str = "scheduler", count: int = 1, deadline: float = math.inf) -> None:
    start = Start(api, "train", deadline)  # type: ignore[arg-type]
    asyncio.run(start.scheduler() if component == "scheduler" else start.workers(count))


def test_it_waits_for_pod_and_service_not_for_the_phase(caplog: pytest.LogCaptureFixture) -> None:
    def operator(api: FakeApi, reads: int) -> None:
        if reads == 8:
            api.add("pods", pod("train-scheduler-1", "scheduler", ready=False))
        if reads == 16:
            api.add("pods", pod("train-scheduler-1", "scheduler"))
        if reads == 24:
            api.add("services", {"metadata": {"name": "train-scheduler"}})

    with caplog.at_level(logging.INFO, "daskpar"):
        wait(with_cluster(FakeApi(operator), "Pending"))
    texts = [record.getMessage() for record in caplog.records]
    assert [text.split(" (")[0] for text in texts] == [
        "cluster train: waiting for the scheduler: no pod yet",
        "cluster train: waiting for the scheduler: pod train-scheduler-1 is running, not ready yet",
        "cluster train: waiting for the scheduler: its service is not there yet",
    ]


def test_workers_are_counted() -> None:
    def operator(api: FakeApi, reads: int) -> None:
        if reads % 8 == 0:
            api.add("pods", pod(f"train-worker-{reads}", ready=reads % 16 == 0))

    api = with_cluster(FakeApi(operator))
    api.add("services", {"metadata": {"name": "train-scheduler"}})
    wait(api, "worker", 3)
    ready = [
        p for (kind, _), p in api.items.items() if kind == "pods" and p["status"]["conditions"][1]["status"]
    ]
    assert len(ready) >= 3


def test_the_time_limit_names_reason_events_and_log() -> None:
    api = with_cluster(FakeApi())
    crashed = waiting("CrashLoopBackOff", "", 1, 1)
    api.add("pods", pod("train-scheduler-1", "scheduler", ready=False, containerStatuses=[crashed]))
    event = {
        **failed_create("train-scheduler-1", "no route"),
        "reason": "FailedMount",
        "metadata": {"name": "e"},
    }
    api.add("events", event)
    api.logs["train-scheduler-1 previous"] = ["Traceback", "ImportError: daskpar"]
    message = (
        r"^cluster\.kind=kubernetes: the scheduler of train is not ready after 0 s \(cluster\.timeout\): "
        r"pod train-scheduler-1: CrashLoopBackOff \(exit code 1, Error\); FailedMount: no route; its "
        r"log ends: Traceback \| ImportError: daskpar$"
    )
    with pytest.raises(InputError, match=message):
        wait(api, deadline=time.monotonic() - 1)


def test_what_is_hopeless_ends_before_the_time_limit() -> None:
    api = with_cluster(FakeApi())
    crashed = waiting("CrashLoopBackOff", "", 3, 127)
    api.add("pods", pod("train-scheduler-1", "scheduler", ready=False, containerStatuses=[crashed]))
    with pytest.raises(InputError, match=r"is not ready after 0 s: pod train-scheduler-1: CrashLoopBackOff"):
        wait(api)


def test_an_image_gets_a_while_to_be_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_PULL", 0.02)
    api = with_cluster(FakeApi())
    refused = waiting("ImagePullBackOff", "not found")
    api.add("pods", pod("train-scheduler-1", "scheduler", ready=False, containerStatuses=[refused]))
    with pytest.raises(InputError, match=r"ImagePullBackOff of image registry/image:1 \(not found\)$"):
        wait(api)


def test_a_quota_is_the_reason_where_there_is_no_pod() -> None:
    api = with_cluster(FakeApi())
    event = failed_create(
        "train-default-worker-1", 'Error creating: pods "x" is forbidden: exceeded quota: q'
    )
    api.add("events", {**event, "metadata": {"name": "e"}})
    message = r"not ready \(0 of 2\) .*: no pod is created: it is forbidden: exceeded quota: q$"
    with pytest.raises(InputError, match=message):
        wait(api, "worker", 2, deadline=time.monotonic() - 1)


@pytest.mark.parametrize(
    "phase, message",
    [
        ("", r"the Dask operator has not seen the DaskCluster; .* does it watch namespace lab\?$"),
        ("Created", r": no pod yet$"),
    ],
)
def test_an_operator_that_does_nothing(phase: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_UNSEEN", -1)
    with pytest.raises(InputError, match=message):
        wait(with_cluster(FakeApi(), phase), deadline=time.monotonic() - 1)


def test_a_cluster_that_somebody_deletes_is_not_waited_for() -> None:
    with pytest.raises(InputError, match=r"after 0 s: the DaskCluster train was deleted$"):
        wait(FakeApi())


def test_the_same_reason_is_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    def operator(api: FakeApi, reads: int) -> None:
        why = "ErrImagePull" if reads // 4 % 2 else "ImagePullBackOff"
        statuses = [waiting(why)]
        api.add("pods", pod("train-scheduler-1", "scheduler", ready=reads > 100, containerStatuses=statuses))
        if reads > 100:
            api.add("pods", pod("train-scheduler-1", "scheduler"))
            api.add("services", {"metadata": {"name": "train-scheduler"}})

    with caplog.at_level(logging.INFO, "daskpar"):
        wait(with_cluster(FakeApi(operator)))
    assert len(caplog.records) == 2
