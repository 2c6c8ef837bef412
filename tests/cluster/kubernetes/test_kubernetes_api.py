"""Requests to an API server: every refusal is one line that says what to do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from daskpar import InputError
from daskpar.cluster.kubernetes import api as module
from daskpar.cluster.kubernetes.api import DASK, Kubernetes

Answer = tuple[int, Any]
VERSION = {"gitVersion": "v9.9.9"}  # newer than those that kr8s knows: it would warn


class Server(ThreadingHTTPServer):
    """An API server with prepared answers by method and path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {"GET /version": (200, VERSION)}
        self.requests: list[tuple[str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = self.path.split("?")[0].rstrip("/")
        self.server.requests.append((self.command, self.path, body))
        code, content = self.server.answers.get(
            f"{self.command} {path}", (404, {"message": "404 page not found"})
        )
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    context = {"cluster": "c", "user": "u", "namespace": "lab"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    }
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def status(reason: str, message: str) -> dict[str, str]:
    return {"kind": "Status", "reason": reason, "message": message}


def ask(*calls: tuple[Any, ...], context: str | None = None, namespace: str | None = None) -> list[Any]:
    """Connect, call methods by name with their arguments, and return the answers."""

    async def run() -> list[Any]:
        kubernetes = await Kubernetes.connect(context, namespace)
        try:
            return [kubernetes.namespace, *[await getattr(kubernetes, c[0])(*c[1:]) for c in calls]]
        finally:
            await kubernetes.close()

    return asyncio.run(run())


CREATE = ("create", "daskclusters", {"metadata": {"name": "train"}})
CLUSTERS = "/apis/kubernetes.dask.org/v1/namespaces/lab/daskclusters"


@pytest.mark.usefixtures("kubeconfig")
def test_resources_are_read_created_and_deleted(server: Server) -> None:
    pod = {"metadata": {"name": "a"}}
    server.answers |= {
        "GET /api/v1/namespaces/lab/pods": (200, {"items": [pod]}),
        "GET /api/v1/namespaces/lab/services/s": (200, pod),
        "GET /api/v1/namespaces/lab/services/none": (404, status("NotFound", "not found")),
        f"POST {CLUSTERS}": (201, {}),
        f"DELETE {CLUSTERS}/train": (200, {}),
        f"PATCH {CLUSTERS}/train": (200, {}),
        f"GET {CLUSTERS}/train": (200, {"metadata": {"finalizers": ["kopf.zalando.org/x", "foreground"]}}),
        f"DELETE {CLUSTERS}/none": (404, status("NotFound", "not found")),
        "GET /api/v1/namespaces/lab/pods/a/log": (200, "one\n\ntwo\n"),
    }
    calls = [
        ("select", "pods", "v1", "k=v"),
        ("get", "services", "s"),
        ("get", "services", "none"),
        CREATE,
        ("delete", "daskclusters", "train"),
        ("delete", "daskclusters", "none"),
        ("release", "daskclusters", "train"),
        ("log", "a", "scheduler", 3),
        ("log", "b", "scheduler", 3),
    ]
    assert ask(*calls) == ["lab", [pod], pod, None, True, True, False, None, ["one", "two"], []]
    assert "labelSelector=k%3Dv" in server.requests[1][1]
    assert ("POST", CLUSTERS, CREATE[2]) in server.requests
    assert ("PATCH", f"{CLUSTERS}/train", {"metadata": {"finalizers": ["foreground"]}}) in server.requests
    assert ("DELETE", f"{CLUSTERS}/train", {"propagationPolicy": "Foreground"}) in server.requests


@pytest.mark.usefixtures("kubeconfig")
def test_the_namespace_of_the_settings_counts_first(server: Server) -> None:
    assert ask(namespace="other") == ["other"]


@pytest.mark.usefixtures("kubeconfig")
def test_a_name_that_is_taken_is_no_error(server: Server) -> None:
    server.answers[f"POST {CLUSTERS}"] = 409, status("AlreadyExists", "already exists")
    assert ask(CREATE) == ["lab", False]


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize(
    "answer, message",
    [
        (
            (401, status("Unauthorized", "Unauthorized")),
            r"refuses the credentials of the kubeconfig \(Unauth",
        ),
        (
            (403, status("Forbidden", 'User "x" cannot create daskclusters')),
            r"does not permit to create daskclusters in namespace lab \(User \"x\" cannot create",
        ),
        (
            (404, "404 page not found"),
            r"does not know how to create daskclusters .*; install the Dask operator",
        ),
        (
            (404, status("NotFound", "the server could not find the requested resource")),
            "install the Dask op",
        ),
        (
            (404, status("NotFound", 'namespaces "lab" not found')),
            r'refuses to create .*\(namespaces "lab" not',
        ),
        ((409, status("Conflict", "object has changed")), r"refuses to create .*\(object has changed\)$"),
        (
            (422, status("Invalid", "spec.worker:\n is wrong")),
            r"refuses to create .*\(spec.worker: is wrong\)$",
        ),
        ((500, "<html>"), r"refuses to create daskclusters in namespace lab \(.*500"),
    ],
)
def test_refusals(server: Server, answer: Answer, message: str) -> None:
    server.answers[f"POST {CLUSTERS}"] = answer
    with pytest.raises(InputError, match=f"^cluster\\.kind=kubernetes: the API server .*{message}") as error:
        ask(CREATE)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("kubeconfig")
def test_a_token_that_is_refused_at_once(server: Server) -> None:
    server.answers["GET /version"] = 401, status("Unauthorized", "Unauthorized")
    with pytest.raises(InputError, match=r"refuses the credentials of the kubeconfig \(Unauthorized\)$"):
        ask()


@pytest.mark.usefixtures("kubeconfig")
def test_a_context_that_is_not_there() -> None:
    with pytest.raises(
        InputError, match=r"no usable kubeconfig \(.*nowhere.*\); KUBECONFIG .* a context in it$"
    ):
        ask(context="nowhere")


def test_a_server_that_is_gone(kubeconfig: Path) -> None:
    kubeconfig.write_text(kubeconfig.read_text().replace("http://127.0.0.1", "http://127.0.0.1:1/x?"))
    with pytest.raises(InputError, match=r"the API server cannot be reached \(.*\); KUBECONFIG"):
        ask()


@pytest.mark.usefixtures("kubeconfig")
def test_a_server_that_does_not_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.1)
    silent, asked = threading.Event(), Handler.answer

    def answer(self: Handler) -> None:
        silent.wait(5)
        asked(self)

    monkeypatch.setattr(Handler, "do_GET", answer)
    with pytest.raises(InputError, match=r"cannot be reached \(it did not answer within 0 s\)"):
        ask()
    silent.set()


@pytest.mark.parametrize("content", ["", "{", "- a\n- b\n", "kind: Config\n"])
def test_a_kubeconfig_that_is_none(kubeconfig: Path, content: str) -> None:
    kubeconfig.write_text(content)
    with pytest.raises(InputError, match=r"^cluster\.kind=kubernetes: .*kubeconfig") as error:
        ask()
    assert "\n" not in str(error.value)


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"there is no kubeconfig at .*none; KUBECONFIG"):
        ask()


def test_a_pod_takes_the_namespace_of_its_account(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kr8s itself would take `default`."""
    account = tmp_path / "namespace"
    account.write_text("inside\n")
    monkeypatch.setattr(module, "_ACCOUNT", account)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    class Auth:
        _context: ClassVar[dict[str, str]] = {}
        active_context = ""

    class Api:
        auth, namespace = Auth(), "default"

    assert module.in_a_pod() and module._namespace(Api()) == "inside"  # type: ignore[arg-type]
    assert module.DASK == DASK
