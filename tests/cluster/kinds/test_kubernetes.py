"""Clusters of pods: the resource that is asked for, and a training on a cluster where there is one."""

from __future__ import annotations

import copy
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from daskpar import InputError, Layout, Trainer, open_client
from daskpar.cluster.executor import THREADED
from daskpar.cluster.kinds import kubernetes
from daskpar.data import Digits

CRD = "operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"


def test_what_is_asked_for() -> None:
    spec = kubernetes.cluster_spec("train", "registry/image:1", 3)
    assert (spec["kind"], spec["apiVersion"]) == ("DaskCluster", "kubernetes.dask.org/v1")
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    (worker,) = spec["spec"]["worker"]["spec"]["containers"]
    assert scheduler["args"][:2] == ["dask", "scheduler"]
    assert worker["args"][:2] == ["dask", "worker"]
    assert {scheduler["image"], worker["image"]} == {"registry/image:1"}
    assert spec["spec"]["worker"]["replicas"] == 3
    for probe in ("readinessProbe", "livenessProbe"):
        assert scheduler[probe]["httpGet"]["port"] == "http-dashboard"


@pytest.fixture(scope="module")
def definition() -> Any:
    """The operator's definition of a DaskCluster, as the package dask-kubernetes has it."""
    package = find_spec("dask_kubernetes")
    assert package is not None and package.origin, "the test extra has dask-kubernetes"
    resource = yaml.safe_load((Path(package.origin).parent / CRD).read_text())
    (served,) = [version for version in resource["spec"]["versions"] if version["served"]]
    return served["schema"]["openAPIV3Schema"]


def test_it_fits_the_operators_definition(definition: Any) -> None:
    jsonschema.validate(kubernetes.cluster_spec("train", "registry/image:1", 3), definition)


def number_of_replicas(spec: Any) -> None:
    spec["worker"]["replicas"] = "3"


def names_of_arguments(spec: Any) -> None:
    spec["scheduler"]["spec"]["containers"][0]["args"] = "dask scheduler"


def no_image_name(spec: Any) -> None:
    spec["worker"]["spec"]["containers"][0]["name"] = None


def no_service(spec: Any) -> None:
    del spec["scheduler"]["service"]


@pytest.mark.parametrize("spoil", [number_of_replicas, names_of_arguments, no_image_name, no_service])
def test_the_definition_refuses_what_is_wrong(definition: Any, spoil: Any) -> None:
    """Else the test before says nothing."""
    spec = copy.deepcopy(kubernetes.cluster_spec("train", "registry/image:1", 3))
    spoil(spec["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec, definition)


def test_a_cluster_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def refuse(custom_cluster_spec: Any, namespace: str | None) -> None:
        asked.append((custom_cluster_spec["spec"]["worker"]["replicas"], namespace))
        raise ConnectionError("connection refused")

    monkeypatch.setattr("dask_kubernetes.operator.KubeCluster", refuse)
    message = r"^cluster\.kind=kubernetes: the cluster did not start \(connection refused\)$"
    with (
        pytest.raises(InputError, match=message),
        open_client("kubernetes", workers=3, image="registry/image:1", namespace="lab"),
    ):
        pass
    assert asked == [(3, "lab")]


@pytest.fixture
def image() -> str:
    """The image to run on the cluster that KUBECONFIG names; skips with the reason where one is missing."""
    missing = [name for name in ("KUBECONFIG", "DASKPAR_TEST_IMAGE") if not os.environ.get(name)]
    if missing:
        pytest.skip(
            f"set {' and '.join(missing)}: a cluster with the dask operator, and an image with daskpar"
        )
    return os.environ["DASKPAR_TEST_IMAGE"]


@pytest.mark.kubernetes
@pytest.mark.timeout(900)
def test_a_training_on_pods_is_that_of_this_machine(image: str) -> None:
    def fit(client: Any) -> Trainer:
        model = ["flatten", {"dense": 16}, "relu", {"dense": 10}]
        common: dict[str, Any] = dict(batch=64, epochs=2, seed=1, precision="float64", metrics=["accuracy"])
        x, y = Digits().arrays()
        return Trainer(model, layout=Layout(data=2), client=client, **common).fit(x, y, validation=0.1)

    expected = fit(THREADED)
    with open_client("kubernetes", workers=2, image=image) as client:
        trained = fit(client)
    for name, value in expected.parameters_.items():  # another processor may round differently
        np.testing.assert_allclose(trained.parameters_[name], value, rtol=0, atol=1e-9, err_msg=name)
    assert trained.history_[-1]["validation"] == pytest.approx(expected.history_[-1]["validation"])
