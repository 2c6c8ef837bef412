"""The one door to Dask's task specification, which Dask keeps private."""

from __future__ import annotations

from dask._task_spec import DataNode, GraphNode, List, Task, TaskRef, convert_legacy_graph

__all__ = ["DataNode", "GraphNode", "List", "Task", "TaskRef", "convert_legacy_graph"]
