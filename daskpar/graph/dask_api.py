"""The only import of Dask's task specification, which is private to Dask and may change."""

from __future__ import annotations

from dask._task_spec import DataNode, GraphNode, List, Task, TaskRef, convert_legacy_graph

__all__ = ["DataNode", "GraphNode", "List", "Task", "TaskRef", "convert_legacy_graph"]
