"""Graphs of one submission: keys, layers, priorities, and the workers that tasks prefer."""

from __future__ import annotations

from operator import add
from typing import Any

from dask import threaded

from daskpar.graph.dask_api import Task
from daskpar.graph.graph import Graph, Placement, Ref, refs
from daskpar.graph.tokens import ends_in_token, new_token
from daskpar.layout.plan import Kind

URGENT = Kind("reduce-gradient", "reduce", ("node",), urgent=True)
ACTOR = Kind("parameter-server", "server", ("shard",), actor=True)


def small() -> Graph:
    """Return two numbers, on slots 0 and 1, and their sum, which is urgent."""
    graph = Graph("0a")
    numbers = [graph.add("load-data", (n,), int, n + 1, slot=n) for n in (0, 1)]
    graph.add(URGENT, (7, 0), add, *refs(numbers))
    return graph


def test_keys_are_the_operation_with_the_token_and_the_index() -> None:
    graph = small()
    assert list(graph.flat()) == [("load-data-0a", 0), ("load-data-0a", 1), ("reduce-gradient-0a", 7, 0)]
    assert list(graph.tasks) == ["load-data", "reduce-gradient"] and len(graph) == 3
    assert graph.slots == {("load-data-0a", 0): 0, ("load-data-0a", 1): 1}


def test_references_stand_for_values() -> None:
    assert threaded.get(small().flat(), ("reduce-gradient-0a", 7, 0)) == 3


def test_kinds_are_known_of_what_was_added_here() -> None:
    graph = small()
    graph.include("blocks", {("x", 0): (add, 1, 2)})
    assert graph.kind(("reduce-gradient-0a", 7, 0)) == URGENT
    assert graph.kind(("load-data-0a", 0)) == Kind("load-data", "load-data", steps=False)
    assert graph.kind(("x", 0)) is None
    assert threaded.get(graph.flat(), ("x", 0)) == 3


def test_actors_are_listed() -> None:
    graph = Graph("0a")
    graph.put(ACTOR, ("parameter-server-0a", 0, 0), Task(("parameter-server-0a", 0, 0), dict), 0)
    assert graph.actors == [("parameter-server-0a", 0, 0)]


def test_layers_are_operations_and_urgent_ones_come_first() -> None:
    high = small().high_level()
    high.validate()
    assert high.dependencies == {"load-data-0a": set(), "reduce-gradient-0a": {"load-data-0a"}}
    notes = {name: layer.annotations for name, layer in high.layers.items()}
    assert notes == {"load-data-0a": None, "reduce-gradient-0a": {"priority": 1}}


def test_slots_are_spread_over_the_workers_in_order() -> None:
    graph = Graph("0a")
    keys = [graph.add("grad", (n,), int, n, slot=n) for n in range(6)]
    free = graph.add("grad", (6,), int, 6)
    (layer,) = graph.high_level(["a", "b", "c"], slots=6).layers.values()
    placement: Any = layer.annotations["workers"]
    assert isinstance(placement, Placement)
    assert [placement(key) for key in keys] == [["a"], ["a"], ["b"], ["b"], ["c"], ["c"]]
    assert placement(free) is None and layer.annotations["allow_other_workers"] is True


def test_a_layer_does_not_depend_on_itself() -> None:
    graph = Graph("0a")
    graph.add("grad", (1,), int, Ref(graph.add("grad", (0,), int, 1)))
    assert graph.high_level().dependencies == {"grad-0a": set()}


def test_dependencies_from_before_are_no_layer_s() -> None:
    graph = Graph("0a")
    graph.add("grad", (0,), int, Ref(("held-0b", 0)))
    assert graph.high_level().dependencies == {"grad-0a": set()}


def test_tokens_are_names_of_their_own_that_no_dashboard_takes_for_words() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and all(len(token) == 13 and token[0] == "0" for token in tokens)
    assert all(ends_in_token(f"grad-{token}") for token in tokens)
    assert not ends_in_token("grad-0a") and not ends_in_token("grad-1" + "0" * 12)
