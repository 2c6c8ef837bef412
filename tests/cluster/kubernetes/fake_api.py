"""An API server's resources in a dictionary, with the methods of `cluster.kubernetes.api.Kubernetes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Found = dict[str, Any]


def pod(
    name: str, component: str = "worker", cluster: str = "train", ready: bool = True, **status: Any
) -> Found:
    """A pod as the API returns it."""
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
    ]
    labels = {"dask.org/cluster-name": cluster, "dask.org/component": component}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def waiting(reason: str, message: str = "", restarts: int = 0, exit_code: int | None = None) -> Found:
    """The status of a container that waits."""
    ended = {} if exit_code is None else {"terminated": {"exitCode": exit_code, "reason": "Error"}}
    return {
        "name": "scheduler",
        "image": "registry/image:1",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": ended,
    }


def failed_create(name: str, message: str) -> Found:
    """An event of a ReplicaSet that could not create a pod."""
    return {
        "type": "Warning",
        "reason": "FailedCreate",
        "message": message,
        "involvedObject": {"kind": "ReplicaSet", "name": name},
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }


class FakeApi:
    """Resources by (kind, name). `requests` are those that change something, in order.

    `poll` is called before each read, with the number of reads so far: what an operator would do meanwhile.
    """

    namespace = "lab"

    def __init__(self, poll: Callable[[FakeApi, int], object] = lambda api, reads: None) -> None:
        self.items: dict[tuple[str, str], Found] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.logs: dict[str, list[str]] = {}
        self.closed = False
        self._poll, self._reads = poll, 0

    def add(self, kind: str, item: Found) -> None:
        self.items[kind, item["metadata"]["name"]] = item

    def remove(self, kind: str, *names: str) -> None:
        for key in list(self.items):
            if key[0] == kind and (not names or key[1] in names):
                del self.items[key]

    async def get(self, kind: str, name: str, version: str = "v1") -> Found | None:
        self._read()
        return self.items.get((kind, name))

    async def select(self, kind: str, version: str = "v1", labels: str = "") -> list[Found]:
        self._read()
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        found = [item for (of, _), item in self.items.items() if of == kind]
        return [item for item in found if wanted.items() <= item["metadata"].get("labels", {}).items()]

    async def create(self, kind: str, resource: Mapping[str, Any], version: str = "") -> bool:
        self.requests.append(("create", kind, resource["metadata"]["name"]))
        self.add(kind, dict(resource))
        return True

    async def delete(self, kind: str, name: str, version: str = "") -> bool:
        self.requests.append(("delete", kind, name))
        return (kind, name) in self.items

    async def release(self, kind: str, name: str, version: str = "") -> None:
        self.requests.append(("release", kind, name))
        self.remove(kind, name)

    async def log(self, pod: str, container: str, lines: int, previous: bool = False) -> list[str]:
        return self.logs.get(f"{pod} {'previous' if previous else 'now'}", [])[-lines:]

    async def close(self) -> None:
        self.closed = True

    def _read(self) -> None:
        self._poll(self, self._reads)
        self._reads += 1
