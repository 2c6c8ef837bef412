"""Resources of a cluster of pods: what they ask for, checked against the operator's own definitions."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from daskpar.cluster.kubernetes.resources import resources
from daskpar.cluster.kubernetes.settings import Pods

CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"
IMAGE = "registry/image:1"
CASES: dict[str, Pods] = {
    "plain": Pods(image=IMAGE),
    "gpu": Pods(image=IMAGE, workers=0, gpu_workers=2),
    "all": Pods(
        image=IMAGE,
        gpu_workers=1,
        resources={"cpu": 2, "memory": "4Gi"},
        env={"LEVEL": 3},
        service_account="runner",
        storage={"/runs": "runs", "/data": "data", "/more": "data"},
        tls="certificates",
        idle_timeout=0,
    ),
}


@cache
def schema(kind: str) -> Any:
    """The operator's definition of a resource, from dask-kubernetes; unknown keys are refused."""
    package = find_spec("dask_kubernetes")
    assert package is not None and package.origin, "the test extra has dask-kubernetes"
    resource = yaml.safe_load((Path(package.origin).parent / CRDS / f"{kind.lower()}.yaml").read_text())
    (served,) = [version for version in resource["spec"]["versions"] if version["served"]]
    return closed(served["schema"]["openAPIV3Schema"], top=True)


@cache
def validator(kind: str) -> Any:
    """The validator of a resource's definition, which is checked once."""
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    return jsonschema.Draft202012Validator(schema(kind))


def closed(node: Any, top: bool = False) -> Any:
    """Return a schema that refuses keys it does not name, as a strict API server does."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(value) for key, value in node.items()}
    if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if top:
        made["properties"] |= {key: {"type": kind} for key, kind in TOP.items()}
    if node.get("x-kubernetes-int-or-string"):
        made = {"type": ["integer", "string"]}
    return made


TOP = {"apiVersion": "string", "kind": "string", "metadata": "object"}


def pods_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield all specifications of pods in a resource."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pods_in(value)


def all_pods(pods: Pods) -> list[dict[str, Any]]:
    return [pod for resource in resources(pods, "train", "lab") for pod in pods_in(resource)]


@pytest.mark.parametrize("name", CASES)
def test_resources_fit_the_operators_definitions(name: str) -> None:
    for resource in resources(CASES[name], "train", "lab"):
        validator(str(resource["kind"])).validate(resource)


def number_of_replicas(spec: Any) -> None:
    spec["worker"]["replicas"] = "3"


def names_of_arguments(spec: Any) -> None:
    spec["scheduler"]["spec"]["containers"][0]["command"] = "dask scheduler"


def no_image_name(spec: Any) -> None:
    spec["worker"]["spec"]["containers"][0]["name"] = None


def no_service(spec: Any) -> None:
    del spec["scheduler"]["service"]


def number_of_a_port(spec: Any) -> None:
    spec["scheduler"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"] = [8787]


def misspelt(spec: Any) -> None:
    spec["worker"]["spec"]["volume"] = []


@pytest.mark.parametrize(
    "spoil",
    [number_of_replicas, names_of_arguments, no_image_name, no_service, number_of_a_port, misspelt],
    ids=lambda spoil: spoil.__name__,
)
def test_the_definition_refuses_what_is_wrong(spoil: Any) -> None:
    """Else the test before says nothing."""
    (cluster,) = copy.deepcopy(resources(CASES["plain"], "train", "lab"))
    spoil(cluster["spec"])
    with pytest.raises(jsonschema.ValidationError):
        validator("DaskCluster").validate(cluster)


@pytest.mark.parametrize("name", CASES)
def test_every_pod_is_restricted_limited_and_probed(name: str) -> None:
    made = all_pods(CASES[name])
    assert len(made) == 2 + bool(CASES[name].gpu_workers)
    for pod in made:
        security = pod["securityContext"]
        assert security["runAsNonRoot"] and security["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["image"] == IMAGE and "args" not in container
        assert container["command"][:2] in (["dask", "scheduler"], ["dask", "worker"])
        inner = container["securityContext"]
        assert inner["readOnlyRootFilesystem"] and not inner["allowPrivilegeEscalation"]
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert all(isinstance(value, str) for value in container["resources"]["limits"].values())
        assert all(isinstance(variable["value"], str) for variable in container["env"])
        named = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in named
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_workers_have_the_name_that_the_operator_knows_and_less_memory_than_their_pod() -> None:
    worker, _ = all_pods(CASES["plain"])
    command = worker["containers"][0]["command"]
    assert command[command.index("--name") + 1] == "$(DASK_WORKER_NAME)"
    assert command[command.index("--nthreads") + 1] == "1"
    assert 0 < int(command[command.index("--memory-limit") + 1]) < 2 * 2**30


def test_gpus() -> None:
    _, _, worker = all_pods(CASES["gpu"])
    (container,) = worker["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["command"][-2:] == ["--resources", "GPU=1"]
    assert worker["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]


def test_encryption_is_the_only_way_to_connect() -> None:
    worker, scheduler, gpu = all_pods(CASES["all"])
    for pod in (scheduler, worker, gpu):
        env = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
        assert env["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        assert env["DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY"] == "/etc/daskpar/tls/tls.key"
        assert {"name": "tls", "secret": {"secretName": "certificates"}} in pod["volumes"]
        if pod is not scheduler:
            assert env["DASK_SCHEDULER_ADDRESS"] == "tls://train-scheduler.lab.svc.cluster.local:8786"
    assert scheduler["containers"][0]["command"][-2:] == ["--protocol", "tls"]


def test_a_claim_that_is_mounted_twice_is_one_volume() -> None:
    scheduler = all_pods(CASES["all"])[0]
    claims = [v["name"] for v in scheduler["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["runs", "data"] and scheduler["serviceAccountName"] == "runner"
