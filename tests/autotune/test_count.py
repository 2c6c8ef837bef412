"""Counting graphs."""

from __future__ import annotations

from daskpar.autotune.count import count, longest_path
from daskpar.graph.graph import Graph, Ref


def test_counts() -> None:
    graph = Graph("0a")
    a = graph.add("load-data", (0,), print, slot=0)
    b = graph.add("load-data", (1,), print, slot=1)
    c = graph.add("grad", (0, 0), print, Ref(a), slot=0)
    d = graph.add("grad", (0, 1), print, Ref(b), slot=1)
    graph.add("grad", (1, 0), print, Ref(c), Ref(d), slot=0)
    graph.add("report", (1,), print, Ref(c))
    found = count(graph)
    assert found.tasks == {"load-data": 2, "grad": 3, "report": 1}
    assert (found.hops, found.crossings) == (3, 1)
    assert longest_path({}) == 0
