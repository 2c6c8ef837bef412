"""The contract of kinds of clusters: names, fields, bounds, and a kind without a client."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from daskpar import InputError
from daskpar.cluster.kind import CLUSTERS, THREADED, ClusterKind, WithDashboard, WithWorkers
from daskpar.cluster.kubernetes.settings import Pods

KINDS: dict[str, tuple[set[str], bool, bool]] = {  # fields, a distributed scheduler, processes of their own
    "threads": ({"workers", "dashboard_port"}, True, False),
    "processes": ({"workers", "dashboard_port"}, True, True),
    THREADED: (set(), False, False),
    "address": ({"address"}, True, True),
    "cuda": ({"dashboard_port"}, True, True),
    "env": ({"workers", "timeout"}, True, True),
    "kubernetes": ({field.name for field in fields(Pods)}, True, True),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    kind = CLUSTERS[name]
    names = {field.name for field in fields(kind)}
    assert (names, kind.distributed, kind.apart) == KINDS[name]
    assert kind.kind == name and issubclass(kind, ClusterKind)


def test_all_kinds_are_known() -> None:
    assert set(CLUSTERS) >= set(KINDS)


@pytest.mark.parametrize(
    "kind, values, message",
    [
        (WithWorkers, {"workers": 0}, r"^cluster\.workers=0 must be at least 1"),
        (WithWorkers, {"workers": 1.5}, r"^cluster\.workers=1\.5"),
        (WithDashboard, {"dashboard_port": -1}, r"^cluster\.dashboard_port=-1 must"),
        (WithDashboard, {"dashboard_port": 65536}, r"^cluster\.dashboard_port=65536 must be at most 65535"),
    ],
)
def test_values_out_of_bounds_are_named_by_their_key(kind: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(**values)


def test_defaults() -> None:
    assert WithWorkers().workers == 2 and WithDashboard().dashboard_port is None
    assert WithDashboard(dashboard_port=0).dashboard_port == 0


def test_a_kind_without_a_client_says_so() -> None:
    class Bare(ClusterKind):
        pass

    with pytest.raises(TypeError, match=r"^Bare has no client$"):
        Bare().client()
