"""Clusters by kind: what starts, what listens, what is refused."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from daskpar import InputError, open_client
from daskpar.cluster.loopback import free_port


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_local_clusters_listen_on_the_loopback_only(kind: str) -> None:
    with open_client(kind, workers=1, dashboard_port=0) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        port = int(client.dashboard_link.split(":")[2].split("/")[0])
        assert listening()[port] == {"127.0.0.1"}
        assert {host for hosts in listening().values() for host in hosts} == {"127.0.0.1"}
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1


def listening() -> dict[int, set[str]]:
    """Listening TCP sockets of this process and its children, by port."""
    import psutil

    me = psutil.Process()
    found: dict[int, set[str]] = {}
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                found.setdefault(connection.laddr.port, set()).add(connection.laddr.ip)
    return found


def test_an_address(threads_client: Any, processes_client: Any) -> None:
    with open_client("address", address=processes_client.scheduler.address) as client:
        assert client.submit(sum, [1, 2]).result() == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kind": "thread"}, "cluster.kind='thread' is not known; use one of threads, processes"),
        ({"kind": "address"}, "cluster.kind=address needs cluster.address"),
        ({"kind": "kubernetes"}, "cluster.kind=kubernetes needs cluster.image"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message), open_client(**options):
        pass


def test_no_scheduler_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskpar.cluster.connecting.SECONDS", 1)
    with pytest.raises(InputError, match=r"no scheduler answers there \(Timed out\)"):
        open_client("address", address="tcp://127.0.0.1:1").__enter__()


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=f"cluster.dashboard_port={port} is in use; choose another, or 0"
        ):
            free_port(port)
    assert free_port(port) == port
    assert free_port(0) == 0
    assert free_port(None) in (8787, 0)
