"""A real Kubernetes cluster with the Dask operator, named by KUBECONFIG; DASKPAR_TEST_IMAGE has daskpar.

Nothing else is assumed but kubectl: the tests make a namespace of their own, and claims without a class. They
read progress in logs, and kill by deleting pods.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from daskpar import InputError, Layout, Trainer, open_client
from daskpar.cli import main
from daskpar.cluster.connecting import identify
from daskpar.cluster.kind import THREADED
from daskpar.data import Digits
from daskpar.train import Callback

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

SMALL = {"cpu": "500m", "memory": "1Gi"}
CONFIG: dict[str, Any] = {
    "run": {"name": "digits", "dir": "runs"},
    "data": {"source": "digits", "validation": 0.1, "test": 0.2},
    "model": ["flatten", {"dense": 32}, "relu", {"dense": 10}],
    "metrics": ["accuracy"],
    "optimizer": {"adam": {"lr": 0.003}},
    "train": {"epochs": 100, "batch": 64, "seed": 7},
    "layout": {"data": 2},
    "checkpoint": {"every": "5 epochs"},
}


@pytest.fixture(scope="module")
def image() -> str:
    """The image to run on the cluster that KUBECONFIG names; skips with the reason where one is missing."""
    missing = [name for name in ("KUBECONFIG", "DASKPAR_TEST_IMAGE") if not os.environ.get(name)]
    if missing:
        pytest.skip(
            f"set {' and '.join(missing)}: a cluster with the dask operator, and an image with daskpar"
        )
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    return os.environ["DASKPAR_TEST_IMAGE"]


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, f"kubectl {arguments}: {done.stderr}"
    return done.stdout


@pytest.fixture
def namespace(image: str) -> Iterator[str]:
    """A namespace of the test's own, which refuses pods that are not `restricted`."""
    name = f"daskpar-test-{uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def until(condition: Callable[[], Any], seconds: float = 180, what: str = "") -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {what}")


def left(namespace: str) -> list[str]:
    """What is left of clusters in a namespace, pods that are ending aside."""
    pods = json.loads(kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    clusters = kubectl("get", "daskclusters", "-n", namespace, "-o", "name").split()
    return [*clusters, *(p["metadata"]["name"] for p in pods if not p["metadata"].get("deletionTimestamp"))]


class DeletePod(Callback):
    """Callback that deletes a pod of a component after an epoch."""

    def __init__(self, namespace: str, component: str, step: int):
        self.selector = ["-n", namespace, "-l", f"dask.org/component={component}"]
        self.step, self.deleted = step, ""

    def after_evaluation(self, trainer: Any, record: Any) -> None:
        if record["step"] >= self.step and not self.deleted:
            self.deleted = kubectl("get", "pods", *self.selector, "-o", "name").split()[0]
            kubectl("delete", self.deleted, self.selector[0], self.selector[1], "--wait=false")


def fit(client: Any, **settings: Any) -> Trainer:
    x, y = Digits().arrays()
    common: dict[str, Any] = {"batch": 64, "epochs": 20, "seed": 1, "metrics": ["accuracy"]}
    model = ["flatten", {"dense": 16}, "relu", {"dense": 10}]
    trainer = Trainer(model, layout=Layout(data=2), client=client, **common, **settings)
    return trainer.fit(x, y, validation=0.1)


def bits(trainer: Trainer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in trainer.parameters_.items()}


def test_from_outside_with_a_worker_that_is_deleted(image: str, namespace: str, tmp_path: Path) -> None:
    expected, kill = fit(THREADED), DeletePod(namespace, "worker", 100)
    with open_client("kubernetes", workers=2, image=image, namespace=namespace, resources=SMALL) as client:
        trained = fit(client, callbacks=[kill], folder=tmp_path / "run")
        assert trained.evaluate(*Digits().arrays()) == expected.evaluate(*Digits().arrays())
    assert kill.deleted and bits(trained) == bits(expected)
    assert left(namespace) == []


# ----- manifests


def written(tmp_path: Path, image: str, namespace: str, *options: str, **sections: Any) -> Path:
    """Write the manifests of the config, and return their folder."""
    cluster = {"kind": "kubernetes", "image": image, "namespace": namespace, "workers": 2, "resources": SMALL}
    config = {**CONFIG, **sections, "cluster": {**cluster, **sections.get("cluster", {})}}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(config))
    folder = tmp_path / "manifests"
    arguments = ["kubernetes", "render", str(tmp_path / "digits.yaml"), "-o", str(folder), *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def local_hash(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the parameters of the config's run on this machine."""
    folder = tmp_path_factory.mktemp("local")
    config = {
        **CONFIG,
        "run": {"name": "digits", "dir": str(folder)},
        "cluster": {"kind": "threaded-scheduler"},
    }
    (folder / "digits.yaml").write_text(yaml.safe_dump(config))
    assert CliRunner().invoke(main, ["train", str(folder / "digits.yaml")]).exit_code == 0
    summary = json.loads((folder / "digits/summary.json").read_text())
    return str(summary["parameters_sha256"])[:12]


def log(namespace: str, pod: str) -> str:
    return kubectl("logs", "-n", namespace, pod, check=False)


def delete_one(namespace: str, component: str) -> None:
    selector = ["-n", namespace, "-l", f"dask.org/component={component}"]
    pod = kubectl("get", "pods", *selector, "-o", "name").split()[0]
    kubectl("delete", pod, "-n", namespace, "--wait=false")


def status(namespace: str, kind: str) -> Any:
    return json.loads(kubectl("get", kind, "digits", "-n", namespace, "-o", "json")).get("status", {})


def test_a_job_as_its_account_with_a_worker_that_is_deleted(
    image: str, namespace: str, tmp_path: Path, local_hash: str
) -> None:
    kubectl("apply", "-k", str(written(tmp_path, image, namespace) / "job"))
    until(lambda: "epoch 1/" in log(namespace, "job/digits"), what="the first epoch")
    delete_one(namespace, "worker")
    until(lambda: status(namespace, "job").get("succeeded"), what="the end of the Job")
    assert f"parameters {local_hash}" in log(namespace, "job/digits")
    until(lambda: left(namespace)[1:] == [], 40, "the end of the cluster")  # the pod of the Job stays


@pytest.mark.parametrize("component", ["worker", "scheduler"])
def test_a_daskjob_that_loses_a_pod(
    image: str, namespace: str, tmp_path: Path, local_hash: str, component: str
) -> None:
    kubectl("apply", "-k", str(written(tmp_path, image, namespace) / "daskjob"))
    until(lambda: log(namespace, "digits-runner").count("epoch ") > 1, what="the second line of progress")
    delete_one(namespace, component)
    until(
        lambda: status(namespace, "daskjob").get("jobStatus") == "Successful", what="the end of the DaskJob"
    )
    text = log(namespace, "digits-runner")
    assert f"parameters {local_hash}" in text
    assert ("trying again (1 of 3" in text) == (component == "scheduler")
    assert ("resumed at step" in text) == (component == "scheduler")


def test_a_job_whose_pod_is_deleted_goes_on(
    image: str, namespace: str, tmp_path: Path, local_hash: str
) -> None:
    kubectl("apply", "-k", str(written(tmp_path, image, namespace) / "job"))
    until(lambda: log(namespace, "job/digits").count("epoch ") > 1, what="the second line of progress")
    kubectl("delete", "pods", "-n", namespace, "-l", "job-name=digits", "--wait=true")
    until(lambda: status(namespace, "job").get("succeeded"), what="the end of the Job")
    text = log(namespace, "job/digits")
    assert f"parameters {local_hash}" in text and "resumed at step" in text


def test_a_daskjob_that_fails_keeps_its_log(image: str, namespace: str, tmp_path: Path) -> None:
    wrong = {"source": "npz", "path": "/runs/none.npz"}
    folder = written(tmp_path, image, namespace, "--no-restarts", data=wrong)
    kubectl("apply", "-k", str(folder / "daskjob"))
    until(lambda: status(namespace, "daskjob").get("jobStatus") == "Failed", what="the failure")
    assert "daskpar: /runs/none.npz" in log(namespace, "digits-runner")


def test_a_job_with_bad_input_is_not_tried_again(image: str, namespace: str, tmp_path: Path) -> None:
    wrong = {"source": "npz", "path": "/runs/none.npz"}
    kubectl("apply", "-k", str(written(tmp_path, image, namespace, data=wrong) / "job"))
    until(lambda: status(namespace, "job").get("failed"), what="the failure")
    reasons = until(lambda: status(namespace, "job").get("conditions"), 30, "the reason")
    assert any(condition.get("reason") == "PodFailurePolicy" for condition in reasons)
    assert status(namespace, "job")["failed"] == 1


@pytest.mark.parametrize("cluster", [{"gpu_workers": 2, "tls": "certs"}, {"workers": 1, "maximum": 3}])
def test_everything_rendered_passes_the_servers_strict_validation(
    image: str, namespace: str, tmp_path: Path, cluster: dict[str, Any]
) -> None:
    layout = {"data": 2, "update": "async"} if "maximum" in cluster else CONFIG["layout"]
    folder = written(tmp_path, image, namespace, cluster=cluster, layout=layout)
    issuers = "cert-manager" in kubectl("get", "crd", "-o", "name")
    for path in sorted(folder.rglob("*.yaml")):
        if path.name != "kustomization.yaml" and (issuers or path.name != "certificates.yaml"):
            kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))


# ----- encryption


def certificates() -> dict[str, str]:
    """An authority and a certificate, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "digits")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return {"ca.crt": pem, "tls.crt": pem, "tls.key": private.decode()}


def test_encrypted_and_nothing_else(image: str, namespace: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in certificates().items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certs"}, "data": data}
    kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(secret))
    options: dict[str, Any] = {"image": image, "namespace": namespace, "resources": SMALL, "tls": "certs"}
    with open_client("kubernetes", **options) as client:
        assert client.scheduler.address.startswith("tls://")
        assert all(address.startswith("tls://") for address in client.scheduler_info(n_workers=-1)["workers"])
        assert bits(fit(client)) == bits(fit(THREADED))
        with pytest.raises((OSError, TimeoutError)):
            identify(client.scheduler.address.replace("tls://", "tcp://"))
    assert left(namespace) == []


# ----- what goes wrong: one line within the time limit, and nothing left


def start(image: str, namespace: str, /, **options: Any) -> None:
    """Start a cluster that cannot start.

    Without `idle_timeout`: an operator that does not know the name of a service, as one outside of the
    cluster, blocks for minutes when it asks a scheduler that is not there whether it is idle.
    """
    fields = {"namespace": namespace, "idle_timeout": 0, "resources": SMALL, **options}
    open_client("kubernetes", **{"image": image, **fields}).__enter__()


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"image": "registry.invalid/none:1", "timeout": 20},
            r"is not ready after .*registry\.invalid/none:1",
        ),
        ({"context": "nowhere"}, r"no usable kubeconfig \(.*nowhere"),
        (
            {"resources": {"cpu": "900", "memory": "1Gi"}, "timeout": 20},
            r"are not ready .* cannot be scheduled",
        ),
        ({"tls": "none", "timeout": 30}, r"cluster\.tls=none|not ready .*none"),
    ],
    ids=["image", "context", "too large", "secret"],
)
def test_what_cannot_start(image: str, namespace: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        start(image, namespace, **options)
    assert "\n" not in str(error.value)
    until(lambda: left(namespace) == [], 60, "nothing left")


def test_a_quota(image: str, namespace: str) -> None:
    kubectl("create", "quota", "small", "--hard=pods=1", "-n", namespace)
    with pytest.raises(InputError, match=r"are not ready \(0 of 2\) .*: no pod is created: .*quota: small"):
        start(image, namespace, timeout=20)
    until(lambda: left(namespace) == [], 60, "nothing left")


def test_without_rights(image: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = kubectl("create", "token", "default", "-n", namespace).strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"] = [{"name": "nobody", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "nobody"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(InputError, match=r"does not permit to create daskclusters in namespace"):
        start(image, namespace)
    monkeypatch.undo()
    assert left(namespace) == []
