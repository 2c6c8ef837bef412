"""Jobs that train: a Job that creates its cluster of pods, and a DaskJob whose cluster the operator creates.

Both continue from the last checkpoint when their pod is started again, and end with the exit code of
`daskpar train`: 0 finished, 1 failed and worth another attempt, 2 bad input.
"""

from __future__ import annotations

from collections.abc import Mapping

from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.owner import VARIABLES
from daskpar.cluster.kubernetes.pods import Json, container, pod, scheduler_address
from daskpar.cluster.kubernetes.resources import API, LABELS, cluster_spec

CONFIG = "/config/config.yaml"
"""Path of the config in the pod that trains."""

_TRAIN = ("daskpar", "train", CONFIG, "--resume-or-start")
_RUNNER = {**LABELS, "app.kubernetes.io/component": "runner"}
_QUANTITIES = {"cpu": "1", "memory": "2Gi"}
_GRACE = 90  # seconds to write a checkpoint and to delete the cluster
_ATTEMPTS = 6
_KEPT = 7 * 24 * 3600  # seconds that an ended Job is kept


def job(run: Run) -> list[Json]:
    """Return the Job (batch/v1). Evictions do not count as attempts, and bad input is not tried again."""
    fields = {name: {"fieldRef": {"fieldPath": path}} for name, path in VARIABLES.items()}
    spec = _pod(run, _TRAIN, fields=fields, restart="Never")
    rules = [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "runner", "operator": "In", "values": [2]},
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    return [
        run.resource(
            "batch/v1",
            "Job",
            spec={
                "backoffLimit": _ATTEMPTS,
                "podFailurePolicy": {"rules": rules},
                "ttlSecondsAfterFinished": _KEPT,
                "template": {"metadata": {"labels": _RUNNER}, "spec": spec},
            },
        )
    ]


def dask_job(run: Run) -> list[Json]:
    """Return the DaskJob. Its runner's container is started again in place when it fails, if `run.restarts`.

    The operator calls a DaskJob `Failed` where its pod has failed, which a container that is started again
    never lets happen.
    """
    workers = run.pods.workers + run.pods.gpu_workers
    settings = ("--set", "cluster.kind=env", "--set", f"cluster.workers={workers}")
    address = scheduler_address(run.pods, run.name, run.namespace)
    spec = _pod(run, (*_TRAIN, *settings), env=address, restart="OnFailure" if run.restarts else "Never")
    return [
        {
            "apiVersion": API,
            "kind": "DaskJob",
            "metadata": run.metadata(),
            "spec": {
                "job": {"metadata": {"labels": _RUNNER}, "spec": spec},
                "cluster": {"spec": cluster_spec(run.pods, run.name, run.namespace)},
            },
        }
    ]


def _pod(
    run: Run,
    command: tuple[str, ...],
    restart: str,
    env: Mapping[str, str] | None = None,
    fields: Mapping[str, Json] | None = None,
) -> Json:
    made = container(run.runner, "runner", command, {}, _QUANTITIES, env)
    variables, mounts = list(_listed(made["env"])), list(_listed(made["volumeMounts"]))
    variables += [{"name": name, "valueFrom": source} for name, source in (fields or {}).items()]
    mounts.append({"name": "config", "mountPath": "/config", "readOnly": True})
    made |= {"env": variables, "volumeMounts": mounts, "workingDir": "/tmp"}
    spec = pod(run.runner, made)
    volume = {"name": "config", "configMap": {"name": run.name}}
    return {
        **spec,
        "automountServiceAccountToken": True,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": _GRACE,
        "volumes": [*_listed(spec["volumes"]), volume],
    }


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
