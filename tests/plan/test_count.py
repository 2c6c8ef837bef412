"""Counting graphs."""

from __future__ import annotations

from daskpar.graph.graph import Graph, Ref
from daskpar.plan.count import count, longest_path


def test_counts() -> None:
    graph = Graph("0a")
    a = graph.add("load-data", (0,), print, lane=0)
    b = graph.add("load-data", (1,), print, lane=1)
    c = graph.add("grad", (0, 0), print, Ref(a), lane=0)
    d = graph.add("grad", (0, 1), print, Ref(b), lane=1)
    graph.add("grad", (1, 0), print, Ref(c), Ref(d), lane=0)
    graph.add("report", (1,), print, Ref(c))
    found = count(graph)
    assert found.tasks == {"load-data": 2, "grad": 3, "report": 1}
    assert (found.hops, found.crossings) == (3, 1)
    assert longest_path({}) == 0
