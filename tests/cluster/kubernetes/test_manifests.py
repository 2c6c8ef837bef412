"""Manifests of runs: accepted by the definitions of Kubernetes and the operator, and true to each other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from kubernetes_validate import utils
from test_pods import pods_in, validator

from daskpar import InputError
from daskpar.cli import main
from daskpar.cluster.kubernetes.manifests import render
from daskpar.cluster.kubernetes.manifests.run import Run
from daskpar.cluster.kubernetes.settings import Pods

ROOT = Path(__file__).parents[3]
EXAMPLES = ["digits", "digits_gpu"]
OTHERS = ("cert-manager.io/", "kustomize.config.k8s.io/")  # whose definitions no package here has
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gpu": {"workers": 0, "gpu_workers": 2},
    "both": {"gpu_workers": 1},
    "tls": {"tls": "certificates"},
    "elastic": {"workers": 1, "maximum": 8},
    "storage": {"storage": {"/runs": "runs", "/data": "data"}, "env": {"LEVEL": 3}, "service_account": "own"},
}


@pytest.fixture(autouse=True, scope="module")
def _definitions_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def files_of(name: str) -> dict[str, str]:
    pods = Pods(image="registry/image:1", **{"storage": {"/runs": "runs"}, **RUNS[name]})
    return render(Run("train", pods, "model: []\n", "/runs"), "a header")


def resources_of(files: dict[str, str]) -> Iterator[dict[str, Any]]:
    for text in files.values():
        yield from yaml.safe_load_all(text)


def kinds(files: dict[str, str], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources_of(files) if resource["kind"] == kind]


def validate(resource: dict[str, Any]) -> None:
    if resource["apiVersion"].startswith("kubernetes.dask.org/"):
        validator(resource["kind"]).validate(resource)
    elif not resource["apiVersion"].startswith(OTHERS):
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", RUNS)
def test_every_manifest_is_valid(name: str) -> None:
    checked = 0
    for resource in resources_of(files_of(name)):
        validate(resource)
        checked += 1
    assert checked > 15


def spoilt(resource: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    made = inner = copy.deepcopy(resource)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return made


@pytest.mark.parametrize(
    "kind, path, value",
    [
        ("Job", ("spec", "backoffLimits"), 3),
        ("Job", ("spec", "template", "spec", "containers", 0, "command"), "daskpar train"),
        ("NetworkPolicy", ("spec", "podSelectors"), {}),
        ("Role", ("rules", 0, "verb"), ["get"]),
        ("DaskJob", ("spec", "jobs"), {}),
        ("DaskCluster", ("spec", "worker", "replicas"), "2"),
    ],
)
def test_what_is_wrong_is_noticed(kind: str, path: tuple[Any, ...], value: Any) -> None:
    """Else the test before says nothing."""
    resource = kinds(files_of("plain"), kind)[0]
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(spoilt(resource, *path, to=value))


@pytest.mark.parametrize("name", RUNS)
def test_every_pod_is_restricted_and_runs_commands_that_exist(name: str) -> None:
    seen = [pod for resource in resources_of(files_of(name)) for pod in pods_in(resource)]
    assert len(seen) >= 6
    for pod in seen:
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
        (container,) = pod["containers"]
        commands = (["dask", "scheduler"], ["dask", "worker"], ["daskpar", "train"])
        assert container["command"][:2] in commands and "args" not in container
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert all(isinstance(value, str) for value in container["resources"]["limits"].values())
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", RUNS)
def test_what_a_manifest_names_is_there(name: str) -> None:
    files = files_of(name)
    for path, text in files.items():
        for resource in yaml.safe_load_all(text):
            if resource["kind"] == "Kustomization":
                folder = Path(path).parent
                for part in resource["resources"]:
                    target = (Path("/") / folder / part).resolve().relative_to("/")
                    assert str(target) in files or f"{target}/kustomization.yaml" in files, (path, part)
    claims = {claim["metadata"]["name"] for claim in kinds(files, "PersistentVolumeClaim")}
    secrets = {one["spec"]["secretName"] for one in kinds(files, "Certificate")}
    for pod in (pod for resource in resources_of(files) for pod in pods_in(resource)):
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets
    account = {one["metadata"]["name"] for one in kinds(files, "ServiceAccount")}
    assert kinds(files, "Job")[0]["spec"]["template"]["spec"]["serviceAccountName"] in account


def test_ports_that_policies_allow_are_those_of_the_pods() -> None:
    files = files_of("both")
    listening = {
        component: {port["containerPort"] for port in pod["containers"][0]["ports"]}
        for component, pod in (
            ("scheduler", kinds(files, "DaskCluster")[0]["spec"]["scheduler"]["spec"]),
            ("worker", kinds(files, "DaskCluster")[0]["spec"]["worker"]["spec"]),
        )
    }
    allowed: dict[str, set[int]] = {}
    for policy in kinds(files, "NetworkPolicy"):
        component = policy["spec"]["podSelector"]["matchLabels"].get("dask.org/component", "")
        for rule in policy["spec"].get("ingress", []):
            allowed.setdefault(component, set()).update(port["port"] for port in rule["ports"])
    assert allowed == listening
    everything = next(p for p in kinds(files, "NetworkPolicy") if p["metadata"]["name"] == "train-pods")
    assert everything["spec"]["policyTypes"] == ["Ingress", "Egress"] and everything["spec"]["ingress"] == []


def test_a_job_is_tried_again_but_not_for_bad_input_and_evictions_do_not_count() -> None:
    (job,) = kinds(files_of("plain"), "Job")
    fail, ignore = job["spec"]["podFailurePolicy"]["rules"]
    assert fail["action"] == "FailJob" and fail["onExitCodes"]["values"] == [2]
    assert ignore["action"] == "Ignore" and ignore["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert job["spec"]["backoffLimit"] > 0 and job["spec"]["ttlSecondsAfterFinished"] > 0
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["terminationGracePeriodSeconds"] > 30
    assert pod["containers"][0]["command"][-1] == "--resume-or-start"


def test_a_daskjob_waits_for_all_its_workers_and_goes_on_or_fails() -> None:
    (job,) = kinds(files_of("both"), "DaskJob")
    command = job["spec"]["job"]["spec"]["containers"][0]["command"]
    assert "cluster.kind=env" in command and "cluster.workers=3" in command
    assert job["spec"]["job"]["spec"]["restartPolicy"] == "OnFailure"
    pods = Pods(image="i", storage={"/runs": "runs"})
    once = render(Run("train", pods, "", "/runs", restarts=False), "")
    assert kinds(once, "DaskJob")[0]["spec"]["job"]["spec"]["restartPolicy"] == "Never"


def test_the_account_may_do_what_a_session_does_and_no_more() -> None:
    roles = {role["metadata"]["name"]: role["rules"] for role in kinds(files_of("tls"), "Role")}
    rights = {
        (resource, verb)
        for rule in roles["train"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = {
        *(("daskclusters", verb) for verb in ("get", "create", "delete", "patch")),
        *(("daskworkergroups", verb) for verb in ("create",)),
        *((kind, verb) for kind in ("pods", "services", "events") for verb in ("get", "list")),
        *(("pods/log", "get"), ("secrets", "get")),
    }
    assert needed <= rights
    assert (
        not {("pods", "create"), ("pods", "delete"), ("secrets", "list"), ("pods/portforward", "create")}
        & rights
    )
    outside = [rule for rule in roles["train-outside"] if "pods/portforward" in rule["resources"]]
    assert outside[0]["verbs"] == ["get", "create"]
    (secrets,) = [rule for rule in roles["train"] if "secrets" in rule["resources"]]
    assert secrets["resourceNames"] == ["certificates"]


# ----- the command


def command(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["kubernetes", "render", *arguments])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_rendered(name: str, tmp_path: Path, write_guides: bool) -> None:
    """`pytest tests/cluster/kubernetes --write-guides` writes them anew."""
    folder = ROOT / "configs/kubernetes" / name
    target = folder if write_guides else tmp_path / name
    assert command(f"{folder}.yaml", "-o", str(target)).exit_code == 0

    def content(of: Path) -> dict[str, str]:
        return {str(path.relative_to(of)): path.read_text() for path in of.rglob("*") if path.is_file()}

    assert content(folder) == content(target)


@pytest.mark.parametrize(
    "sets, message",
    [
        (["cluster.kind=threads"], "cluster.kind=threads: expected kubernetes"),
        (["cluster.image=null"], "needs cluster.image"),
        (["run.dir=/home/me"], "run.dir=/home/me is on no storage of the pods"),
        (
            ["data={source: npz, path: data.npz}"],
            "data.path=data.npz is relative; pods need a path on a storage",
        ),
        (["cluster.maximum=4"], "cluster.maximum: each step waits for all lanes"),
        (["cluster.maximum=4", "cluster.gpu_workers=1"], "two groups of workers"),
        (["cluster.maximum=2"], "cluster.maximum=2 must be above cluster.workers=2"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(tmp_path: Path, sets: list[str], message: str) -> None:
    settings = [part for one in sets for part in ("--set", one)]
    done = command(str(ROOT / "configs/kubernetes/digits.yaml"), "-o", str(tmp_path / "out"), *settings)
    assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_is_that_of_the_storage(tmp_path: Path) -> None:
    done = command(
        str(ROOT / "configs/digits_mlp.yaml"),
        "-o",
        str(tmp_path / "out"),
        "--set",
        "cluster.kind=kubernetes",
        "--set",
        "cluster.image=i",
    )
    assert done.exit_code == 0, done.stderr
    written = yaml.safe_load((tmp_path / "out/base/config.yaml").read_text())
    config = yaml.safe_load(written["data"]["config.yaml"])
    assert config["run"] == {"name": "digits_mlp", "dir": "/runs"}
    assert config["cluster"]["storage"] == {"/runs": "digits-mlp-runs"}
    assert config["cluster"]["namespace"] == "daskpar" and config["layout"] == {"data": 2}


def test_files_of_others_stay(tmp_path: Path) -> None:
    arguments = str(ROOT / "configs/kubernetes/digits.yaml"), "-o", str(tmp_path / "out")
    assert command(*arguments).exit_code == 0 and command(*arguments).exit_code == 0
    (tmp_path / "out/notes.txt").write_text("mine")
    refused = command(*arguments)
    assert refused.exit_code == 2 and "has other files, e.g." in refused.stderr
    assert (tmp_path / "out/notes.txt").read_text() == "mine"
    assert command(*arguments, "--force").exit_code == 0 and not (tmp_path / "out/notes.txt").exists()


def test_a_run_without_a_storage_for_its_folder() -> None:
    with pytest.raises(InputError, match=r"run\.dir=/runs is on no storage"):
        Run("train", Pods(image="i", storage={"/runsx": "runs"}), "", "/runs")
