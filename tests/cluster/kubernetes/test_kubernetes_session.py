"""The life of a cluster of pods: created under one name, deleted at the end whatever happens."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fake_api import FakeApi, pod

from daskpar import InputError, open_client
from daskpar.cluster.kubernetes import deletion, starting
from daskpar.cluster.kubernetes.api import Kubernetes
from daskpar.cluster.kubernetes.encryption import security_from
from daskpar.cluster.kubernetes.session import Session


def operator(api: FakeApi, reads: int) -> None:
    """Create the pods of each DaskCluster, and remove them with it."""
    for (kind, name), item in list(api.items.items()):
        if kind == "daskclusters" and ("pods", f"{name}-scheduler-1") not in api.items:
            item["status"] = {"phase": "Pending"}
            api.add("services", {"metadata": {"name": f"{name}-scheduler"}})
            api.add("pods", pod(f"{name}-scheduler-1", "scheduler", name))
            for i in range(item["spec"]["worker"]["replicas"]):
                api.add("pods", pod(f"{name}-default-worker-{i}", "worker", name))
    if any(request[0] == "delete" for request in api.requests):
        api.items.clear()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, threads_client: Any) -> FakeApi:
    """An API server with an operator, and a client of two threads in place of one of pods."""
    fake = FakeApi(operator)

    async def connect(context: str | None, namespace: str | None) -> FakeApi:
        fake.namespace = namespace or "lab"
        return fake

    @contextmanager
    def connected(self: Session) -> Iterator[Any]:
        yield threads_client

    monkeypatch.setattr(Kubernetes, "connect", connect)
    monkeypatch.setattr(Session, "_connected", connected)
    monkeypatch.setattr(starting, "_POLL", 0)
    monkeypatch.setattr(deletion, "_POLL", 0)
    return fake


def start(**fields: Any) -> Any:
    return open_client("kubernetes", **{"image": "registry/image:1", "workers": 1, **fields})


def verbs(api: FakeApi) -> list[tuple[str, str]]:
    return [request[:2] for request in api.requests]


def test_from_its_creation_to_its_end(api: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "daskpar"), start() as client:
        assert client.submit(sum, [1, 2]).result() == 3
        (name,) = {name for kind, name in api.items if kind == "daskclusters"}
        assert verbs(api) == [("create", "daskclusters")]
    assert name.startswith("daskpar-") and f"cluster {name}: created in namespace lab" in caplog.text
    assert api.requests == [("create", "daskclusters", name), ("delete", "daskclusters", name)]
    assert api.closed and not api.items


def test_a_group_of_workers_with_gpus_comes_after_the_cluster(api: FakeApi) -> None:
    with pytest.raises(InputError, match=r"the workers of daskpar-\w+ are not ready \(1 of 2\)"):
        with start(gpu_workers=1, timeout=0.2):
            pass
    assert verbs(api) == [
        ("create", "daskclusters"),
        ("create", "daskworkergroups"),
        ("delete", "daskclusters"),
    ]


async def interrupt(*_: object) -> None:
    """Let Ctrl-C reach the main thread while this coroutine waits in the thread of the event loop."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(30)


@pytest.mark.parametrize("place", ["scheduler", "workers"])
def test_an_interrupt_while_it_starts_deletes_it(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(starting.Start, place, interrupt)
    with pytest.raises(KeyboardInterrupt), start():
        pass
    assert verbs(api) == [("create", "daskclusters"), ("delete", "daskclusters")] and not api.items


def test_an_interrupt_on_the_way_of_the_request_deletes_it(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = api.create

    async def interrupted(*arguments: Any) -> None:
        await create(*arguments)
        await interrupt()

    monkeypatch.setattr(api, "create", interrupted)
    with pytest.raises(KeyboardInterrupt), start():
        pass
    assert verbs(api) == [("create", "daskclusters"), ("delete", "daskclusters")]


def test_an_error_in_the_block_deletes_it(api: FakeApi) -> None:
    with pytest.raises(ZeroDivisionError), start():
        1 / 0  # noqa: B018
    assert verbs(api) == [("create", "daskclusters"), ("delete", "daskclusters")]


def test_nothing_is_deleted_where_the_server_refuses(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> bool:
        raise InputError("cluster.kind=kubernetes: no")

    monkeypatch.setattr(api, "create", refuse)
    with pytest.raises(InputError, match=r"no$"), start():
        pass
    assert api.requests == [] and api.closed


def test_a_cluster_that_is_kept_is_named_and_can_be_used_again(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "daskpar"):
        with start(name="mine", keep_cluster=True):
            pass
        assert verbs(api) == [("create", "daskclusters")]
        assert (
            "cluster mine is kept: cluster.name=mine uses it again, `kubectl delete daskcluster mine"
            in caplog.text
        )
        with start(name="mine", workers=7):  # its one worker is enough
            pass
    assert verbs(api) == [("create", "daskclusters")] and ("daskclusters", "mine") in api.items
    assert "cluster mine exists; it is used as it is, and left at the end" in caplog.text


def test_a_cluster_that_does_not_start_is_not_kept(api: FakeApi) -> None:
    with (
        pytest.raises(InputError, match="are not ready"),
        start(gpu_workers=1, timeout=0.1, keep_cluster=True),
    ):
        pass
    assert verbs(api)[-1] == ("delete", "daskclusters")


def test_a_named_cluster_that_was_created_is_deleted(api: FakeApi) -> None:
    with start(name="mine"):
        pass
    assert api.requests == [("create", "daskclusters", "mine"), ("delete", "daskclusters", "mine")]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"image": None}, r"needs cluster\.image"),
        ({"workers": 0}, r"cluster\.workers=0 and cluster\.gpu_workers=0: a cluster needs a worker"),
        ({"namespace": "Lab_1"}, r"cluster\.namespace='Lab_1': expected a name of Kubernetes"),
        ({"name": 41 * "a"}, r"cluster\.name=a+: expected at most 40 characters"),
        ({"resources": {"cpu": "2 cores"}}, r"cluster\.resources\.cpu='2 cores': expected a quantity"),
        ({"storage": {"runs": "claim"}}, r"cluster\.storage: 'runs' is not an absolute path"),
        ({"timeout": 0}, r"cluster\.timeout=0"),
    ],
)
def test_fields_that_are_refused_before_any_request(
    api: FakeApi, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message), start(**fields):
        pass
    assert api.requests == []


def test_a_cluster_of_a_pod_belongs_to_the_pod(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKPAR_POD_NAME", "digits-x7")
    monkeypatch.setenv("DASKPAR_POD_UID", "1-2-3")
    with start():
        (cluster,) = [item for (kind, _), item in api.items.items() if kind == "daskclusters"]
        (owner,) = cluster["metadata"]["ownerReferences"]
        assert owner == {"apiVersion": "v1", "kind": "Pod", "name": "digits-x7", "uid": "1-2-3"}


def test_outside_of_a_pod_a_cluster_has_no_owner(api: FakeApi) -> None:
    with start():
        (cluster,) = [item for (kind, _), item in api.items.items() if kind == "daskclusters"]
        assert "ownerReferences" not in cluster["metadata"]


# ----- certificates


def security(secret: dict[str, str] | None) -> Any:
    fake = FakeApi()
    if secret is not None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
        fake.add("secrets", {"metadata": {"name": "certs"}, "data": data})
    return asyncio.run(security_from(fake, "certs"))  # type: ignore[arg-type]


def test_certificates_come_from_the_secret() -> None:
    made = security({"ca.crt": "authority\n", "tls.crt": "certificate\n", "tls.key": "key\n"})
    assert made.require_encryption and made.tls_ca_file == "authority\n"
    assert (made.tls_client_cert, made.tls_client_key) == ("certificate\n", "key\n")


@pytest.mark.parametrize(
    "secret, message",
    [
        (None, r"^cluster\.tls=certs: there is no such Secret in namespace lab$"),
        ({"tls.crt": "a", "tls.key": ""}, r"^cluster\.tls=certs: the Secret lacks ca\.crt, tls\.key$"),
    ],
)
def test_a_secret_that_does_not_do(secret: dict[str, str] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        security(secret)
