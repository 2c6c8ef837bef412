"""Description of a run on Kubernetes, from which all manifests are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from daskpar.cluster.kubernetes.pods import Json
from daskpar.cluster.kubernetes.resources import LABELS
from daskpar.cluster.kubernetes.settings import Pods
from daskpar.errors import InputError

NAMESPACE = "daskpar"
"""The namespace where a config names none."""


@dataclass(frozen=True)
class Run:
    """A run `name` on pods, with its config as YAML and the folder `folder` for its files.

    `restarts`: the pod of a DaskJob starts its container again when it fails.

    Raises:
        InputError: There is no image, or `folder` is not on a storage of the pods.
    """

    name: str
    pods: Pods
    config: str
    folder: str
    restarts: bool = True

    def __post_init__(self) -> None:
        if not self.pods.image:
            raise InputError("cluster.kind=kubernetes needs cluster.image, an image with daskpar installed")
        paths = [path.rstrip("/") + "/" for path in self.pods.storage or ()]
        if not any((self.folder + "/").startswith(path) for path in paths):
            raise InputError(
                f"run.dir={self.folder} is on no storage of the pods, and would be lost with them; set "
                "cluster.storage, e.g. {/runs: claim}, and run.dir to a folder in it"
            )

    @cached_property
    def namespace(self) -> str:
        """The namespace of all resources."""
        return self.pods.namespace or NAMESPACE

    @cached_property
    def runner(self) -> Pods:
        """The settings of the pod that trains: it may create clusters."""
        return replace(self.pods, service_account=self.name)

    def metadata(self, name: str | None = None) -> dict[str, object]:
        """Return the metadata of a resource; `name` is that of the run by default."""
        return {"name": name or self.name, "namespace": self.namespace, "labels": LABELS}

    def resource(self, api: str, kind: str, name: str | None = None, **fields: object) -> Json:
        """Return a resource in the namespace of the run."""
        return {"apiVersion": api, "kind": kind, "metadata": self.metadata(name), **fields}
