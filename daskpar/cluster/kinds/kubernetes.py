"""Clusters on Kubernetes, through the Dask operator and daskpar's own specification of the pods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daskpar.cluster.kubernetes.settings import Pods
from daskpar.registry import register

if TYPE_CHECKING:
    from distributed import Client


@register("kubernetes")
@dataclass(frozen=True)
class Kubernetes(Pods):
    """Cluster of pods on Kubernetes, started through the Dask operator.

    The kubeconfig must name a Kubernetes cluster with the operator; in a pod, the ServiceAccount is used.
    Needs dask-kubernetes. Outside the cluster, the scheduler is reached through a port of its pod, forwarded
    to this machine. The end of the context deletes what was created, unless `keep_cluster`.

    Args:
        workers: Number of worker pods without a GPU. Default: 2.
        maximum: Most worker pods without a GPU: the operator keeps from `workers` to this number, as work
            comes. For sweeps and asynchronous layouts. None: always `workers`. Default: None.
        gpu_workers: Number of worker pods with one GPU each. Default: 0.
        image: Container image with daskpar installed. Required, although the default is None.
        namespace: Kubernetes namespace of the pods. None is that of the Kubernetes context. Default: None.
        context: Context of the kubeconfig. None is its current context. Default: None.
        name: Name of the DaskCluster. A cluster of that name which exists is used, and left as it is.
            None makes a new name. Default: None.
        resources: Quantities of a worker pod, requested and limited, e.g. {"cpu": 2, "memory": "4Gi"}.
            None: 1 CPU, 2Gi of memory. Default: None.
        env: Environment variables of the pods. Default: None.
        service_account: ServiceAccount of the pods. None: the default one of the namespace. Default: None.
        storage: PersistentVolumeClaims by the path at which the pods see them, e.g. {"/runs": "runs"}.
            Default: None.
        tls: Secret with `tls.crt`, `tls.key` and `ca.crt`, for encrypted connections that refuse others.
            Default: None.
        timeout: Seconds for the start of the cluster. Default: 300.
        idle_timeout: Seconds without work after which the operator deletes the cluster; 0: never.
            Default: 3600.
        keep_cluster: Leave the cluster at the end. Default: False.

    Raises:
        InputError: A field is not one that Kubernetes accepts. From `client`: no image is set,
            dask-kubernetes is not installed, the API server cannot be reached or refuses, the pods do not
            start within `timeout`, or the image has other versions of Python, Dask, NumPy or daskpar.

    Example:
        >>> from daskpar.cluster.kinds.kubernetes import Kubernetes
        >>> Kubernetes(workers=8, image="registry.example.com/daskpar:1")
        Kubernetes(workers=8, image='registry.example.com/daskpar:1')
    """

    @contextmanager
    def client(self) -> Iterator[Client]:
        from daskpar.cluster.kubernetes.session import connected

        with connected(self) as client:
            yield client
