"""Requests to the Kubernetes API through kr8s, each with a time limit and errors in one line."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from daskpar.errors import InputError, one_line

if TYPE_CHECKING:
    from kr8s.asyncio import Api

T = TypeVar("T")
Found = dict[str, Any]
"""A resource as the API returns it."""

DASK = "kubernetes.dask.org/v1"
_OPERATOR = "kopf.zalando.org/"  # the framework of the Dask operator
_SECONDS = 15.0  # for one request
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_KUBECONFIG = "KUBECONFIG (or ~/.kube/config) names the cluster"


class Kubernetes:
    """Requests to the API server that the kubeconfig or the pod's ServiceAccount names.

    All methods are coroutines of one event loop. `namespace` is that of the settings, else of the context,
    else of the pod.

    Raises:
        InputError: The server cannot be reached, refuses the request, or does not know the resource.
    """

    def __init__(self, api: Api, namespace: str):
        self.api, self.namespace = api, namespace

    @classmethod
    async def connect(cls, context: str | None, namespace: str | None) -> Kubernetes:
        """Return a connection to the API server. Raises InputError if there is none."""
        from kr8s.asyncio import Api

        _check_kubeconfig()
        api = Api(context=context, bypass_factory=True)  # not one that another event loop has used
        connection = cls(api, "")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Kubernetes version", UserWarning)  # newer ones have worked
                await _answer(_ready(api), "its version")
        except BaseException:
            await connection.close()
            raise
        api.timeout = _SECONDS
        connection.namespace = namespace or _namespace(api)
        return connection

    async def get(self, kind: str, name: str, version: str = "v1") -> Found | None:
        """Return a resource, or None if there is none of that name; `kind` is its plural, e.g. "pods"."""
        answer = await self._request("GET", f"{kind}/{name}", version, missing=True)
        return answer

    async def select(self, kind: str, version: str = "v1", labels: str = "") -> list[Found]:
        """Return the resources of a kind that have these labels, e.g. "a=1,b=2"; all without labels."""
        params = {"labelSelector": labels} if labels else None
        answer = await self._request("GET", kind, version, params=params)
        return [] if answer is None else list(answer["items"])

    async def create(self, kind: str, resource: Mapping[str, object], version: str = DASK) -> bool:
        """Create a resource. Returns False if there is one of that name."""
        answer = await self._request("POST", kind, version, body=resource, existing=True)
        return answer is not None

    async def delete(self, kind: str, name: str, version: str = DASK) -> bool:
        """Delete a resource and all that belongs to it. Returns False if there is none of that name.

        What belongs to it goes first, so pods end although the operator may not be there to release it.
        """
        answer = await self._request(
            "DELETE", f"{kind}/{name}", version, body={"propagationPolicy": "Foreground"}, missing=True
        )
        return answer is not None

    async def release(self, kind: str, name: str, version: str = DASK) -> None:
        """Let a resource that is being deleted go without the operator: remove the operator's finalizer."""
        found = await self.get(kind, name, version)
        if found is None:
            return
        others = [f for f in found["metadata"].get("finalizers", ()) if not f.startswith(_OPERATOR)]
        body = {"metadata": {"finalizers": others}}
        await self._request("PATCH", f"{kind}/{name}", version, body=body, missing=True)

    async def log(self, pod: str, container: str, lines: int, previous: bool = False) -> list[str]:
        """Return the last lines that a container wrote; [] if there are none or they cannot be read."""
        params = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            async with self.api.call_api(
                "GET", version="v1", namespace=self.namespace, url=f"pods/{pod}/log", params=params
            ) as response:
                return [line for line in response.text.splitlines() if line.strip()]
        except Exception:  # a log is an addition to a message: without it, the message stands
            return []

    async def close(self) -> None:
        """Close the connections."""
        if self.api._session is not None:
            await self.api._session.aclose()

    async def _request(
        self,
        method: str,
        url: str,
        version: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        missing: bool = False,
        existing: bool = False,
    ) -> Found | None:
        content = None if body is None else json.dumps(body)
        kind = "merge-patch+json" if method == "PATCH" else "json"
        headers = {"Content-Type": f"application/{kind}"}

        async def answer() -> Found:
            async with self.api.call_api(
                method,
                version=version,
                namespace=self.namespace,
                url=url,
                params=params,
                content=content,
                headers=headers,
            ) as response:
                found: Found = response.json()
                return found

        try:
            return await _answer(
                answer(), f"{_VERBS[method]} {url.split('/')[0]} in namespace {self.namespace}"
            )
        except _Status as status:
            if (missing and status.reason == "NotFound") or (existing and status.reason == "AlreadyExists"):
                return None
            raise


_VERBS = {"GET": "get", "POST": "create", "DELETE": "delete", "PATCH": "patch"}


class _Status(InputError):
    """Refusal of the API server, with its `reason`."""

    def __init__(self, message: str, reason: str = ""):
        super().__init__(f"cluster.kind=kubernetes: {message}")
        self.reason = reason


async def _answer(request: Coroutine[object, object, T], wish: str) -> T:
    """Return the answer to a request. Raises InputError for a server that does not answer or refuses."""
    import httpx
    from kr8s import APITimeoutError, ServerError
    from yaml import YAMLError

    try:
        return await asyncio.wait_for(request, _SECONDS)
    except ServerError as error:
        raise _refused(error, wish) from None
    except (TimeoutError, APITimeoutError):
        raise _unreachable(f"it did not answer within {_SECONDS:.0f} s") from None
    except httpx.HTTPError as error:
        raise _unreachable(one_line(str(error)) or type(error).__name__) from None
    except OSError as error:
        raise _unreachable(error.strerror or str(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError, YAMLError) as error:  # of kr8s
        raise InputError(
            f"cluster.kind=kubernetes: no usable kubeconfig ({one_line(str(error))}); {_KUBECONFIG}, and "
            "cluster.context a context in it"
        ) from None


async def _ready(api: Api) -> None:
    await api


def _check_kubeconfig() -> None:
    """Refuse a process that has neither a kubeconfig nor a ServiceAccount."""
    paths = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    if not in_a_pod() and not any(Path(path).expanduser().is_file() for path in paths if path):
        raise InputError(
            f"cluster.kind=kubernetes: there is no kubeconfig at {', '.join(paths)}; {_KUBECONFIG}"
        )


def _unreachable(reason: str) -> InputError:
    return InputError(
        f"cluster.kind=kubernetes: the API server cannot be reached ({reason}); {_KUBECONFIG}; try "
        "`kubectl get pods`"
    )


def _refused(error: Exception, wish: str) -> _Status:
    response = getattr(error, "response", None)
    code = getattr(response, "status_code", 0)
    try:
        details = response.json() if response is not None else {}
    except ValueError:
        details = {}
    reason = str(details.get("reason", "")) if isinstance(details, dict) else ""
    text = one_line(str(error))
    if code == 401:
        return _Status(f"the API server refuses the credentials of the kubeconfig ({text})", reason)
    if code == 403 and "quota" not in text:
        return _Status(f"the API server does not permit to {wish} ({text})", reason)
    if (code == 404 and reason != "NotFound") or "could not find the requested resource" in text:
        return _Status(
            f"the API server does not know how to {wish}; install the Dask operator, e.g. "
            "`helm install --repo https://helm.dask.org --create-namespace -n dask-operator "
            "--generate-name dask-kubernetes-operator`",
            "NoOperator",
        )
    return _Status(f"the API server refuses to {wish} ({text})", reason)


def _namespace(api: Api) -> str:
    """Return the namespace of the context, or of the pod that this process runs in."""
    named = api.auth._context.get("namespace")
    if named or not in_a_pod() or api.auth.active_context:
        return str(named or api.namespace)
    return _ACCOUNT.read_text().strip()


def in_a_pod() -> bool:
    """Return whether this process runs in a pod with a ServiceAccount."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and _ACCOUNT.is_file()
