"""Resources of a cluster of pods, as the Dask operator reads them (kubernetes.dask.org/v1)."""

from __future__ import annotations

from collections.abc import Mapping

from daskpar.cluster.kubernetes.pods import DASHBOARD_PORT, SCHEDULER_PORT, scheduler_pod, worker_pod
from daskpar.cluster.kubernetes.settings import Pods

API = "kubernetes.dask.org/v1"
LABELS = {"app.kubernetes.io/name": "daskpar", "app.kubernetes.io/managed-by": "daskpar"}
"""Labels of all that daskpar creates."""
PLURALS = {
    "DaskCluster": "daskclusters",
    "DaskWorkerGroup": "daskworkergroups",
    "DaskAutoscaler": "daskautoscalers",
}
"""Names of the kinds in requests."""


def dask_cluster(pods: Pods, name: str, namespace: str) -> dict[str, object]:
    """Return the DaskCluster: a scheduler, its service, and the workers without a GPU."""
    return {
        "apiVersion": API,
        "kind": "DaskCluster",
        "metadata": {"name": name, "namespace": namespace, "labels": LABELS},
        "spec": {**cluster_spec(pods, name, namespace), "idleTimeout": pods.idle_timeout},
    }


def cluster_spec(pods: Pods, name: str, namespace: str) -> dict[str, object]:
    """Return the specification of the scheduler and of the default group of workers."""
    return {
        "worker": {"replicas": pods.workers, "spec": worker_pod(pods, name, namespace)},
        "scheduler": {"spec": scheduler_pod(pods), "service": _service(name)},
    }


def gpu_group(pods: Pods, cluster: str, namespace: str) -> dict[str, object]:
    """Return the DaskWorkerGroup of the workers with a GPU."""
    worker = {"replicas": pods.gpu_workers, "spec": worker_pod(pods, cluster, namespace, gpu=True)}
    return {
        "apiVersion": API,
        "kind": "DaskWorkerGroup",
        "metadata": {"name": f"{cluster}-gpu", "namespace": namespace, "labels": LABELS},
        "spec": {"cluster": cluster, "worker": worker},
    }


def autoscaler(pods: Pods, cluster: str, namespace: str) -> dict[str, object]:
    """Return the DaskAutoscaler that keeps from `workers` to `maximum` workers; `maximum` must be set."""
    assert pods.maximum is not None
    return {
        "apiVersion": API,
        "kind": "DaskAutoscaler",
        "metadata": {"name": cluster, "namespace": namespace, "labels": LABELS},
        "spec": {"cluster": cluster, "minimum": pods.workers, "maximum": pods.maximum},
    }


def resources(pods: Pods, name: str, namespace: str) -> list[dict[str, object]]:
    """Return all resources of a cluster, in the order in which they are created."""
    more = [gpu_group(pods, name, namespace)] if pods.gpu_workers else []
    if pods.maximum is not None:
        more.append(autoscaler(pods, name, namespace))
    return [dask_cluster(pods, name, namespace), *more]


def scheduler_labels(name: str) -> Mapping[str, str]:
    """Return the labels of the scheduler's pod."""
    return {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}


def _service(name: str) -> dict[str, object]:
    ports = {"tcp-comm": SCHEDULER_PORT, "http-dashboard": DASHBOARD_PORT}
    return {
        "type": "ClusterIP",
        "selector": dict(scheduler_labels(name)),
        "ports": [{"name": n, "port": p, "targetPort": n, "protocol": "TCP"} for n, p in ports.items()],
    }
