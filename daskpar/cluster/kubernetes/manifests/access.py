"""Rights of the account of the pod that trains, and a role for people who connect from outside."""

from __future__ import annotations

from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.pods import Json

_RBAC = "rbac.authorization.k8s.io/v1"
_DASK = ["daskclusters", "daskworkergroups", "daskautoscalers"]
_READ = ["get", "list", "watch"]


def access(run: Run) -> list[Json]:
    """Return the ServiceAccount, its Role, and the Role of people outside, which has no subjects yet."""
    rules = _rules(run)
    subjects = [{"kind": "ServiceAccount", "name": run.name, "namespace": run.namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": run.name}
    forward = {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]}
    return [
        run.resource("v1", "ServiceAccount"),
        run.resource(_RBAC, "Role", rules=rules),
        run.resource(_RBAC, "RoleBinding", subjects=subjects, roleRef=reference),
        run.resource(_RBAC, "Role", f"{run.name}-outside", rules=[*rules, forward]),
    ]


def _rules(run: Run) -> list[Json]:
    """Return the rules for what `daskpar.cluster.kubernetes.session` asks for, and no more."""
    rules: list[Json] = [
        {
            "apiGroups": ["kubernetes.dask.org"],
            "resources": _DASK,
            "verbs": [*_READ, "create", "delete", "patch"],
        },
        {"apiGroups": [""], "resources": ["pods", "services", "events"], "verbs": _READ},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    if run.pods.tls:
        secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [run.pods.tls]}
        rules.append({**secret, "verbs": ["get"]})
    return rules
