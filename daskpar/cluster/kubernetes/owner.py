"""Owner of a cluster that a pod creates: when the pod is deleted, Kubernetes deletes the cluster with it."""

from __future__ import annotations

import os

from daskpar.cluster.kubernetes.pods import Json

VARIABLES = {"DASKPAR_POD_NAME": "metadata.name", "DASKPAR_POD_UID": "metadata.uid"}
"""Variables with the name and the UID of the pod that this process runs in, by the field they come from."""


def owned(resource: Json) -> Json:
    """Return a resource that belongs to the pod of this process, if the variables name one."""
    name, uid = (os.environ.get(variable) for variable in VARIABLES)
    metadata = resource["metadata"]
    if not name or not uid or not isinstance(metadata, dict):
        return resource
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
    return {**resource, "metadata": {**metadata, "ownerReferences": [owner]}}
