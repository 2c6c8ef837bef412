"""Reasons why pods are not ready, from their states, events and logs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_api import FakeApi, failed_create, pod, waiting

from daskpar.cluster.kubernetes.reasons import Reason, failed_creations, last_words, of_pod, warnings

UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: 1 Insufficient cpu."}]


@pytest.mark.parametrize(
    "status, reason",
    [
        ({"ready": True}, None),
        ({"ready": False}, Reason("pod a is running, not ready yet")),
        ({"ready": False, "phase": "Pending"}, Reason("pod a is pending, not ready yet")),
        (
            {"conditions": UNSCHEDULABLE},
            Reason("pod a cannot be scheduled (0/1 nodes: 1 Insufficient cpu.)"),
        ),
        (
            {"ready": False, "phase": "Failed", "reason": "Evicted", "message": "low on\nmemory"},
            Reason("pod a failed (low on memory)"),
        ),
        (
            {"containerStatuses": [waiting("ContainerCreating")]},
            Reason("pod a: ContainerCreating"),
        ),
        (
            {"containerStatuses": [waiting("ErrImagePull", "not found")]},
            Reason("pod a: ErrImagePull of image registry/image:1 (not found)", pulls=True),
        ),
        (
            {"containerStatuses": [waiting("InvalidImageName", "bad")]},
            Reason("pod a: InvalidImageName of image registry/image:1 (bad)", hopeless=True),
        ),
        (
            {"containerStatuses": [waiting("CrashLoopBackOff", "back-off", 1, 127)]},
            Reason("pod a: CrashLoopBackOff (exit code 127, Error)"),
        ),
        (
            {"containerStatuses": [waiting("CrashLoopBackOff", "back-off", 3, 127)]},
            Reason("pod a: CrashLoopBackOff (exit code 127, Error)", hopeless=True),
        ),
        (
            {"initContainerStatuses": [waiting("CreateContainerConfigError", "no secret")]},
            Reason("pod a: CreateContainerConfigError (no secret)", hopeless=True),
        ),
    ],
)
def test_states_of_a_pod(status: dict[str, Any], reason: Reason | None) -> None:
    assert of_pod(pod("a", **status)) == reason


def test_a_pod_that_is_deleted_is_not_ready() -> None:
    gone = pod("a")
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert of_pod(gone) == Reason("pod a is being deleted")


def test_quotas_leave_no_pod_and_an_event() -> None:
    quota = 'Error creating: pods "train-x-1" is forbidden: exceeded quota: small'
    events = [
        failed_create("train-x", quota),
        failed_create("train-x", f"(combined from similar events): {quota.replace('x-1', 'x-2')}"),
        failed_create("other-x", "something else"),
    ]
    assert list(failed_creations(events, "train-")) == [
        Reason("no pod is created: it is forbidden: exceeded quota: small")
    ]


def test_warnings_are_those_of_the_cluster_the_latest_last() -> None:
    early, late = failed_create("train-x", "early"), failed_create("train-x", "late")
    late["lastTimestamp"] = "2026-01-02T00:00:00Z"
    normal = {**failed_create("train-x", "fine"), "type": "Normal"}
    events = [late, early, normal, failed_create("other", "other"), dict(late)]
    assert warnings(events, "train-") == ["FailedCreate: early", "FailedCreate: late"]


@pytest.mark.parametrize("previous, expected", [("previous", "its log ends: one | two"), ("none", "")])
def test_the_log_of_a_container_that_was_restarted_is_the_previous_one(previous: str, expected: str) -> None:
    api = FakeApi()
    api.logs[f"a {previous}"] = ["  one", "two  "]
    crashed = pod("a", containerStatuses=[waiting("CrashLoopBackOff", restarts=3)])
    assert asyncio.run(last_words(api, [crashed])) == expected  # type: ignore[arg-type]
