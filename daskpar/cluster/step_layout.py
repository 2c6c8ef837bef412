"""Page /graph of Dask's dashboard with the steps of a training from left to right.

Dask draws a task at the mean height of its dependencies. The data are loaded once and read in every step, so
their edges to all steps would hide everything else. Here each operation of a step has a row:

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
"""Number of columns that the page shows: the last ones, unless a reader zooms or pans."""
_ROWS = 64  # rows of one operation; further tasks share the last row


class StepLayout(GraphLayout):
    """Positions of tasks on the page: those of a training in rows by operation, others by Dask's rule."""

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
        self._remove_common_edges(edges)

    def reset_index(self) -> None:
        super().reset_index()
        self._remove_common_edges(0)

    def skip_forgotten(self, nodes: int, edges: int) -> bool:
        """Renumber new tasks and edges after the `nodes` and `edges` on the page, without forgotten ones.

        Dask's page skips tasks that the scheduler forgot before the page showed them, and then confuses all
        later tasks. Returns False if the page was emptied meanwhile and must start again.
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
        """Return the row of a task, which it shares with the same task of other steps."""
        name = key_split(key)
        row: tuple[object, ...] = (name, *key[2:]) if _in_step(key) else (name,)
        if row not in self.rows:
            size = self.sizes[name] = self.sizes.get(name, 0) + 1
            self.rows[row] = len(set(self.rows.values())) if size <= _ROWS else max(self.rows.values())
        return self.rows[row]

    def _move_to_dependents(self, key: tuple[Any, ...]) -> None:
        """Move a task right before its dependents, because it may depend on nothing of the previous step."""
        after = [self.x[each.key] for each in self.scheduler.tasks[key].dependents if each.key in self.x]
        self.x[key] = max(self.x[key], min(after, default=0) - 1)

    def _remove_common_edges(self, first: int) -> None:
        """Remove the edges, from number `first` on, that start at tasks read by all steps."""
        edges = self.new_edges[first:]
        kept = [(a, b) for a, b in edges if not _ours(a) or _in_step(a)]
        number = self.next_edge_index - len(edges)
        self.index_edge.update(dict.fromkeys(edges, math.inf))  # the page skips edges with this index
        self.index_edge.update({edge: i for i, edge in enumerate(kept, number)})
        self.new_edges[first:] = kept
        self.next_edge_index = number + len(kept)


def _ours(key: object) -> bool:
    return isinstance(key, tuple) and isinstance(key[0], str) and ends_in_token(key[0])


def _in_step(key: tuple[Any, ...]) -> bool:
    """Return whether a task of daskpar has a step number."""
    return len(key) > 1 and isinstance(key[1], int)
