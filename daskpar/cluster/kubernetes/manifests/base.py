"""Parts that every form of a run needs: namespace, storage, config, and limits on disruptions."""

from __future__ import annotations

from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.pods import Json
from daskpar.cluster.kubernetes.resources import LABELS

_SIZE = "10Gi"


def namespace(run: Run) -> list[Json]:
    """Return the namespace, which refuses pods that are not `restricted`."""
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": run.namespace, "labels": labels}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]


def storage(run: Run) -> list[Json]:
    """Return the claims; `ReadWriteOnce` lets the pods of one node mount them."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _SIZE}}}
    claims = dict.fromkeys((run.pods.storage or {}).values())
    return [run.resource("v1", "PersistentVolumeClaim", claim, spec=spec) for claim in claims]


def config(run: Run) -> list[Json]:
    """Return the config of the run, a file that the pod that trains mounts."""
    return [run.resource("v1", "ConfigMap", data={"config.yaml": run.config})]


def disruption(run: Run) -> list[Json]:
    """Return the limits on drains of nodes: schedulers are not evicted, and one worker at a time."""
    return [
        run.resource("policy/v1", "PodDisruptionBudget", f"{run.name}-{component}", spec=spec)
        for component, spec in (
            ("scheduler", {"maxUnavailable": 0, "selector": _selector("scheduler")}),
            ("worker", {"maxUnavailable": 1, "selector": _selector("worker")}),
        )
    ]


def _selector(component: str) -> Json:
    labels = {"app.kubernetes.io/name": LABELS["app.kubernetes.io/name"], "dask.org/component": component}
    return {"matchLabels": labels}
