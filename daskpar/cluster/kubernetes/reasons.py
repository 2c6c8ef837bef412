"""Reasons why the pods of a cluster are not ready, from their states and from events.

A quota and Pod Security leave no pod at all: the reason is an event of the ReplicaSet, `FailedCreate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from daskpar.cluster.kubernetes.api import Found, Kubernetes
from daskpar.errors import one_line

_HOPELESS = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
_PULLS = {"ErrImagePull", "ImagePullBackOff"}
_RESTARTS = 3  # of a container that ends while it starts, after which waiting is of no use
_LINES = 3  # of a log
_CREATING = re.compile(r'(\(combined from similar events\): )?Error creating: pods "[^"]*"')


class Reason(NamedTuple):
    """Reason why something is not ready.

    `hopeless`: waiting is of no use. `pulls`: the image cannot be pulled.
    """

    text: str
    hopeless: bool = False
    pulls: bool = False


def of_pod(pod: Found) -> Reason | None:
    """Return the reason why a pod is not ready, or None if it is."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return Reason(f"pod {name} is being deleted")
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Reason(f"pod {name} cannot be scheduled ({one_line(scheduled.get('message', ''))})")
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return _waiting(name, container, waiting)
    if status.get("phase") == "Failed":
        return Reason(f"pod {name} failed ({one_line(status.get('message') or status.get('reason', ''))})")
    if conditions.get("Ready", {}).get("status") != "True":
        return Reason(f"pod {name} is {str(status.get('phase', 'Pending')).lower()}, not ready yet")
    return None


def _waiting(name: str, container: Found, waiting: Found) -> Reason:
    why, message = waiting.get("reason", "waiting"), one_line(waiting.get("message", ""))
    image = f" of image {container['image']}" if "Image" in why else ""
    crashed = why == "CrashLoopBackOff" and container.get("restartCount", 0) >= _RESTARTS
    ended = container.get("lastState", {}).get("terminated", {})
    if ended:
        message = f"exit code {ended.get('exitCode')}, {ended.get('reason', 'Error')}"
    detail = f" ({message})" if message else ""
    return Reason(f"pod {name}: {why}{image}{detail}", crashed or why in _HOPELESS, why in _PULLS)


def failed_creations(events: Iterable[Found], prefix: str) -> Iterator[Reason]:
    """Yield the reasons why pods were not created for ReplicaSets whose names begin with `prefix`."""
    texts = {
        _CREATING.sub("no pod is created: it", one_line(event.get("message", "")))
        for event in events
        if event.get("reason") == "FailedCreate" and event["involvedObject"]["name"].startswith(prefix)
    }
    yield from (Reason(text) for text in sorted(texts))


def warnings(events: Iterable[Found], prefix: str) -> list[str]:
    """Return the messages of warnings on objects whose names begin with `prefix`, the latest last."""
    fitting = [
        event
        for event in events
        if event.get("type") == "Warning" and event["involvedObject"]["name"].startswith(prefix)
    ]
    fitting.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return list(dict.fromkeys(f"{e.get('reason')}: {one_line(e.get('message', ''))}" for e in fitting))


async def last_words(kubernetes: Kubernetes, pods: Iterable[Found]) -> str:
    """Return the last log lines of the first container that has ended or waits, or "" if there are none."""
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses", ()):
            name, container = pod["metadata"]["name"], status["name"]
            restarted = status.get("restartCount", 0) > 0
            lines = await kubernetes.log(name, container, _LINES, previous=restarted)
            if not lines and restarted:
                lines = await kubernetes.log(name, container, _LINES)
            if lines:
                return f"its log ends: {' | '.join(line.strip()[:200] for line in lines)}"
    return ""
