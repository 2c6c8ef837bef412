"""Network policies: nothing reaches a pod of a run, or is reached from it, but what is named here.

runner, people ──> scheduler 8786, 8787 <── workers          runner ──> API server 443, 6443
operator ──> scheduler 8786, 8787        workers <─> workers 8788, 8789, 8790
"""

from __future__ import annotations

from collections.abc import Sequence

from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.pods import (
    DASHBOARD_PORT,
    NANNY_PORT,
    SCHEDULER_PORT,
    WORKER_HTTP_PORT,
    WORKER_PORT,
    Json,
)
from daskpar.cluster.kubernetes.resources import LABELS

OPERATOR = "dask-operator"
"""The namespace of the Dask operator."""

_NAME = "app.kubernetes.io/name"
_OURS = {_NAME: LABELS[_NAME]}
_API_SERVER = 443, 6443
_SCHEDULER = SCHEDULER_PORT, DASHBOARD_PORT
_WORKER = WORKER_PORT, NANNY_PORT, WORKER_HTTP_PORT


def network(run: Run) -> list[Json]:
    """Return the policies for the pods of a run."""
    ours = {"podSelector": {"matchLabels": _OURS}}
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OPERATOR}}}
    dns = {
        "to": [{"namespaceSelector": {}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
    inside = {"to": [ours], "ports": _ports((*_SCHEDULER, *_WORKER))}
    return [
        _policy(run, "pods", _OURS, ingress=[], egress=[dns, inside]),
        _policy(
            run,
            "scheduler",
            {**_OURS, "dask.org/component": "scheduler"},
            ingress=[{"from": [ours, operator], "ports": _ports(_SCHEDULER)}],
        ),
        _policy(
            run,
            "workers",
            {**_OURS, "dask.org/component": "worker"},
            ingress=[{"from": [ours], "ports": _ports(_WORKER)}],
        ),
        _policy(
            run,
            "runner",
            {**_OURS, "app.kubernetes.io/component": "runner"},
            egress=[{"ports": _ports(_API_SERVER)}],
        ),
    ]


def _ports(numbers: Sequence[int]) -> list[Json]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _policy(run: Run, name: str, labels: Json, **directions: Sequence[Json]) -> Json:
    spec = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": [direction.capitalize() for direction in directions],
        **directions,
    }
    return run.resource("networking.k8s.io/v1", "NetworkPolicy", f"{run.name}-{name}", spec=spec)
