"""Pods of a cluster: the scheduler's and the workers'.

They suit the Pod Security Standard `restricted`: a user without rights, a root file system that is read only,
`/tmp` in a volume of its own. `command:` is used, because `args:` would go to the image's entry point. The
commands are `dask scheduler` and `dask worker`: distributed 2026.6 and later do not install `dask-scheduler`
and `dask-worker`, which dask-kubernetes 2026.3 still names by default. Ports are fixed, for network policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from daskpar.cluster.kubernetes.settings import Pods

Json = Mapping[str, object]
"""A part of a manifest."""

SCHEDULER_PORT, DASHBOARD_PORT = 8786, 8787
WORKER_PORT, NANNY_PORT, WORKER_HTTP_PORT = 8788, 8789, 8790

USER = 10001
"""The user in the image of `configs/kubernetes/Dockerfile`."""
TLS_FOLDER = "/etc/daskpar/tls"
GPU = "nvidia.com/gpu"

_SCHEDULER_RESOURCES = {"cpu": "1", "memory": "2Gi"}
_COMM = "DASK_DISTRIBUTED__COMM__"
_ROUTES = (  # the second lets the operator ask an encrypted scheduler whether it is idle
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.api",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.proxy",
    "distributed.http.statics",
)


def scheduler_pod(pods: Pods) -> dict[str, object]:
    """Return the specification of the scheduler's pod (core/v1 PodSpec)."""
    command = ["dask", "scheduler", "--host", "0.0.0.0", "--port", str(SCHEDULER_PORT)]
    command += ["--dashboard-address", f":{DASHBOARD_PORT}"]
    if pods.tls:
        command += ["--protocol", "tls"]
    ports = {"tcp-comm": SCHEDULER_PORT, "http-dashboard": DASHBOARD_PORT}
    alone = replace(pods, storage=None)  # a claim might tie its pod to a node
    return pod(alone, container(alone, "scheduler", command, ports, _SCHEDULER_RESOURCES))


def worker_pod(pods: Pods, cluster: str, namespace: str, gpu: bool = False) -> dict[str, object]:
    """Return the specification of a worker's pod (core/v1 PodSpec), with a GPU if `gpu`."""
    command = ["dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1"]
    command += ["--memory-limit", str(pods.memory_limit), "--death-timeout", "60"]
    command += ["--worker-port", str(WORKER_PORT), "--nanny-port", str(NANNY_PORT)]
    command += ["--dashboard-address", f":{WORKER_HTTP_PORT}"]
    quantities = pods.quantities
    if gpu:
        command += ["--resources", "GPU=1"]
        quantities = {**quantities, GPU: "1"}
    ports = {"tcp-worker": WORKER_PORT, "tcp-nanny": NANNY_PORT, "http-dashboard": WORKER_HTTP_PORT}
    made = container(pods, "worker", command, ports, quantities, scheduler_address(pods, cluster, namespace))
    spec = pod(pods, made, memory_volume=gpu)
    if gpu:
        spec["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return spec


def scheduler_address(pods: Pods, cluster: str, namespace: str) -> dict[str, str]:
    """Return the variable with the scheduler's address; {} where the operator sets the right one."""
    if not pods.tls:
        return {}
    return {
        "DASK_SCHEDULER_ADDRESS": f"tls://{cluster}-scheduler.{namespace}.svc.cluster.local:{SCHEDULER_PORT}"
    }


def container(
    pods: Pods,
    name: str,
    command: Sequence[str],
    ports: Mapping[str, int],
    quantities: Mapping[str, str],
    env: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Return a container that runs a command; with ports it is probed at `/health` of `http-dashboard`.

    `quantities` are both requested and the limit. `env` are variables besides those of `pods`.
    """
    variables = {
        "HOME": "/tmp",
        "DASK_TEMPORARY_DIRECTORY": "/tmp",
        **(_tls_variables() if pods.tls else {}),
        **{key: str(value) for key, value in (pods.env or {}).items()},
        **(env or {}),
    }
    made: dict[str, object] = {
        "name": name,
        "image": pods.image,
        "command": list(command),
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"requests": dict(quantities), "limits": dict(quantities)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            *({"name": claim, "mountPath": path} for path, claim in (pods.storage or {}).items()),
        ],
    }
    if pods.tls:
        mount = {"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True}
        made["volumeMounts"] = [*_list(made["volumeMounts"]), mount]
    if ports:
        made["ports"] = [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports.items()]
        probe = {"httpGet": {"port": "http-dashboard", "path": "/health"}, "timeoutSeconds": 10}
        made["readinessProbe"] = {**probe, "periodSeconds": 5}
        made["livenessProbe"] = {**probe, "periodSeconds": 20, "failureThreshold": 6}
    return made


def pod(pods: Pods, container: Json, memory_volume: bool = False) -> dict[str, object]:
    """Return the specification of a pod with one container; `memory_volume` mounts /dev/shm."""
    volumes: list[Json] = [{"name": "tmp", "emptyDir": {}}]
    claims = dict.fromkeys((pods.storage or {}).values())
    volumes += [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    if pods.tls:
        volumes.append({"name": "tls", "secret": {"secretName": pods.tls}})
    made = dict(container)
    if memory_volume:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
        made["volumeMounts"] = [*_list(made["volumeMounts"]), {"name": "shm", "mountPath": "/dev/shm"}]
    spec: dict[str, object] = {
        "automountServiceAccountToken": False,
        "containers": [made],
        "volumes": volumes,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if pods.service_account:
        spec["serviceAccountName"] = pods.service_account
    return spec


def _tls_variables() -> dict[str, str]:
    variables = {
        f"{_COMM}REQUIRE_ENCRYPTION": "true",
        f"{_COMM}TLS__CA_FILE": f"{TLS_FOLDER}/ca.crt",
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": repr(list(_ROUTES)),
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"{_COMM}TLS__{role}__CERT"] = f"{TLS_FOLDER}/tls.crt"
        variables[f"{_COMM}TLS__{role}__KEY"] = f"{TLS_FOLDER}/tls.key"
    return variables


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
