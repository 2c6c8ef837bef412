"""The page /graph of Dask's dashboard, with the steps of a training from left to right.

Dask places a task at the mean height of those that it depends on. The data are loaded once and read in every
step, so their edges to all steps would hide everything else. Here each operation of a step has a row:

    load-data  ■
    grad 0        ■     ■     ■
    grad 1        ■     ■     ■        edges only where the steps depend on each other
    update          ■     ■     ■
"""

from __future__ import annotations

import math
from typing import Any

from dask.utils import key_split
from distributed.diagnostics.graph_layout import GraphLayout

from daskpar.graph.tokens import ends_in_token

COLUMNS = 60
"""Columns that the page shows: the last ones, until somebody zooms or pans."""
_ROWS = 64  # of one operation; tasks beyond share the last


class StepLayout(GraphLayout):
    """Places of tasks: those of a training in rows by operation, all others as Dask places them."""

    x: dict[Any, float]
    y: dict[Any, float]
    new: list[Any]
    new_edges: list[tuple[Any, Any]]
    index: dict[Any, int]
    next_index: int
    next_edge_index: int
    index_edge: dict[tuple[Any, Any], float]
    state_updates: list[tuple[int, str]]
    visible_updates: list[tuple[int, str]]
    visible_edge_updates: list[tuple[float, str]]

    def __init__(self, scheduler: Any):
        self.rows: dict[tuple[object, ...], int] = {}
        self.sizes: dict[str, int] = {}  # rows of each operation
        super().__init__(scheduler)

    def update_graph(self, scheduler: Any, **submission: object) -> None:
        if not self.x:
            self.rows.clear()
            self.sizes.clear()
        nodes, edges = len(self.new), len(self.new_edges)
        super().update_graph(scheduler, **submission)
        ours = sorted(filter(_ours, self.new[nodes:]), key=self.x.__getitem__)
        for key in ours:
            self.collision.pop((self.x[key], self.y[key]), None)
            self.y[key] = -self._row(key)
        for key in reversed(ours):
            if _in_step(key):
                self._move_to_dependents(key)
        self._leave_out(edges)

    def reset_index(self) -> None:
        super().reset_index()
        self._leave_out(0)

    def skip_forgotten(self, nodes: int, edges: int) -> bool:
        """Number what is yet to be shown after the `nodes` and `edges` that are, without what is gone.

        Dask's page skips tasks that were forgotten before it could show them, and takes each later one for
        another. Returns whether this was enough: not where the page was emptied.
        """
        if self.next_index - len(self.new) != nodes or self.next_edge_index - len(self.new_edges) != edges:
            return False
        self.new = [key for key in self.new if key in self.index]
        self.new_edges = [edge for edge in self.new_edges if edge in self.index_edge]
        self.index.update({key: i for i, key in enumerate(self.new, nodes)})
        self.index_edge.update({edge: i for i, edge in enumerate(self.new_edges, edges)})
        self.next_index, self.next_edge_index = nodes + len(self.new), edges + len(self.new_edges)
        self.state_updates = [(i, state) for i, state in self.state_updates if i < nodes]
        self.visible_updates = [(i, seen) for i, seen in self.visible_updates if i < nodes]
        self.visible_edge_updates = [(i, seen) for i, seen in self.visible_edge_updates if i < edges]
        return True

    def _row(self, key: tuple[Any, ...]) -> int:
        """The row of a task: that of the same task in other steps."""
        name = key_split(key)
        row: tuple[object, ...] = (name, *key[2:]) if _in_step(key) else (name,)
        if row not in self.rows:
            size = self.sizes[name] = self.sizes.get(name, 0) + 1
            self.rows[row] = len(set(self.rows.values())) if size <= _ROWS else max(self.rows.values())
        return self.rows[row]

    def _move_to_dependents(self, key: tuple[Any, ...]) -> None:
        """Place a task right before those that wait for it: it may depend on nothing of the step before."""
        after = [self.x[each.key] for each in self.scheduler.tasks[key].dependents if each.key in self.x]
        self.x[key] = max(self.x[key], min(after, default=0) - 1)

    def _leave_out(self, first: int) -> None:
        """Leave out, of the edges from `first` on, those that begin at what all steps read."""
        edges = self.new_edges[first:]
        kept = [(a, b) for a, b in edges if not _ours(a) or _in_step(a)]
        number = self.next_edge_index - len(edges)
        self.index_edge.update(dict.fromkeys(edges, math.inf))  # the page passes over what it does not have
        self.index_edge.update({edge: i for i, edge in enumerate(kept, number)})
        self.new_edges[first:] = kept
        self.next_edge_index = number + len(kept)


def _ours(key: object) -> bool:
    return isinstance(key, tuple) and isinstance(key[0], str) and ends_in_token(key[0])


def _in_step(key: tuple[Any, ...]) -> bool:
    """Return whether a task of ours has the number of a step."""
    return len(key) > 1 and isinstance(key[1], int)
