"""Fields of a cluster of pods: keys of the section `cluster` for kind kubernetes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dask.utils import parse_bytes

from daskpar.cluster.kind import ClusterKind
from daskpar.errors import InputError
from daskpar.settings import setting

Texts = Mapping[str, str | int | float]
"""Values by name; numbers stand for their text."""

RESOURCES: Texts = {"cpu": "1", "memory": "2Gi"}
"""The resources of a pod, where a config does not say more."""

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|[MGTPE]i?)?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST = 40  # the operator appends to the name of a cluster; names of pods have at most 63 characters


@dataclass(frozen=True)
class Pods(ClusterKind):
    """Base class of the kind kubernetes, with its fields; see `daskpar.cluster.kinds.kubernetes`."""

    can_return: ClassVar[bool] = True

    workers: int = setting(2, "number of worker pods without a GPU, for kind kubernetes", at_least=0)
    maximum: int | None = setting(
        None,
        "most worker pods, for kind kubernetes: the operator keeps from `workers` to this number, as work "
        "comes; null: always `workers`",
        at_least=1,
    )
    gpu_workers: int = setting(0, "number of worker pods with one GPU each, for kind kubernetes", at_least=0)
    image: str | None = setting(None, "container image with daskpar installed, for kind kubernetes")
    namespace: str | None = setting(
        None, "Kubernetes namespace of the pods, for kind kubernetes; null: that of the Kubernetes context"
    )
    context: str | None = setting(
        None, "context of the kubeconfig, for kind kubernetes; null: its current context"
    )
    name: str | None = setting(
        None,
        "name of the DaskCluster, for kind kubernetes; one that exists is used and left; null: a new name",
    )
    resources: Texts | None = setting(
        None,
        "quantities of a worker pod, for kind kubernetes, e.g. {cpu: 2, memory: 4Gi}; null: 1 CPU, 2Gi",
    )
    env: Texts | None = setting(None, "environment variables of the pods, for kind kubernetes")
    service_account: str | None = setting(
        None, "ServiceAccount of the pods, for kind kubernetes; null: the namespace's default"
    )
    storage: Mapping[str, str] | None = setting(
        None,
        "PersistentVolumeClaims by the path at which pods see them, for kind kubernetes, e.g. "
        "{/runs: daskpar-runs}",
    )
    tls: str | None = setting(
        None,
        "Secret with tls.crt, tls.key and ca.crt, for encrypted connections, for kind kubernetes; null: none",
    )
    timeout: float = setting(
        300.0, "seconds for the start of the cluster, for kinds env and kubernetes", above=0
    )
    idle_timeout: int = setting(
        3600,
        "seconds without work after which the operator deletes the cluster, for kind kubernetes; 0: never",
        at_least=0,
    )
    keep_cluster: bool = setting(False, "leave the cluster at the end, for kind kubernetes")

    def __post_init__(self) -> None:
        for field in ("namespace", "name", "service_account", "tls"):
            value = getattr(self, field)
            if value is not None and not _NAME.fullmatch(value):
                raise InputError(
                    f"cluster.{field}={value!r}: expected a name of Kubernetes: small letters, digits and '-'"
                )
        if self.name is not None and len(self.name) > _LONGEST:
            raise InputError(f"cluster.name={self.name}: expected at most {_LONGEST} characters")
        if self.workers + self.gpu_workers + (self.maximum or 0) == 0:
            raise InputError("cluster.workers=0 and cluster.gpu_workers=0: a cluster needs a worker")
        self._check_maximum()
        for name, quantity in self.quantities.items():
            if not _QUANTITY.fullmatch(quantity):
                raise InputError(
                    f"cluster.resources.{name}={quantity!r}: expected a quantity, e.g. 2, 500m, 4Gi"
                )
        for path in self.storage or ():
            if not path.startswith("/") or ":" in path:
                raise InputError(f"cluster.storage: {path!r} is not an absolute path in the pods")

    def _check_maximum(self) -> None:
        if self.maximum is None:
            return
        if self.gpu_workers:
            raise InputError(
                f"cluster.maximum={self.maximum}: with cluster.gpu_workers there are two groups of "
                "workers, and the operator would retire workers of either; leave one of the two out"
            )
        if self.maximum <= self.workers:
            raise InputError(
                f"cluster.maximum={self.maximum} must be above cluster.workers={self.workers}, the least"
            )

    @property
    def elastic(self) -> bool:
        return self.maximum is not None

    @property
    def quantities(self) -> dict[str, str]:
        """The resources of a worker pod, as texts: the definition of the resource refuses numbers."""
        return {name: str(value) for name, value in {**RESOURCES, **(self.resources or {})}.items()}

    @property
    def memory_limit(self) -> int:
        """Bytes of a worker process: less than those of its pod, which the kernel kills at its limit."""
        return parse_bytes(self.quantities["memory"]) * 9 // 10
