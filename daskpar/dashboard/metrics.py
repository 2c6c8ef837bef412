"""The content of `/daskpar/metrics.json`: runs, their curves, and what their slots do."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from daskpar.dashboard.activity import ANYWHERE, Activity, Bar
from daskpar.dashboard.run_files import pages_of
from daskpar.dashboard.runs import Run
from daskpar.dashboard.shown import Shown

SCHEMA = 1


def metrics_json(page: Shown, run: str | None = None, since: int = -1) -> str:
    """Return the metrics as JSON; numbers that are not finite are null.

    Args:
        page: The plugin that has the runs.
        run: Identifier of the run with curves; of others only the facts are returned. Default: None, all.
        since: A `version` of an earlier answer; only newer points are returned. Default: all.
    """
    content = {
        "schema": SCHEMA,
        "version": page.runs.version,
        "time": time.time(),
        "dask_pages": page.dask_pages,
        "workers": _workers(page),
        "runs": [
            facts(each) | (details(page, each, since) if run in (None, each.id) else {})
            for each in reversed(page.runs.by_id.values())
        ],
    }
    try:
        return json.dumps(content, separators=(",", ":"), allow_nan=False)
    except ValueError:  # a number is not finite
        return json.dumps(_finite(content), separators=(",", ":"))


def facts(run: Run) -> dict[str, Any]:
    """Return the facts of a run that do not grow with its steps."""
    return run.about | {
        "id": run.id,
        "state": run.state,
        "reason": run.reason,
        "started": run.started,
        "ended": run.ended,
        "seconds": run.seconds,
        "step": run.step,
        "files": pages_of(run),
        "scores": run.scores,
        "last": run.last,
    }


def details(page: Shown, run: Run, since: int) -> dict[str, Any]:
    """Return the curves, marks and slots of a run."""
    series = []
    for (name, part, each), curve in run.series.items():
        points = curve.since(since)
        if points is not None:
            series.append({"name": name, "part": part, "each": each, **points._asdict()})
    activity = page.activities.get(run.id, Activity())
    bars = activity.recent()
    return {
        "series": series,
        "layers": _layers(run),
        "marks": list(run.marks),
        "slots": _slots(page, run, activity, bars),
        "strip": activity.strip(bars),
        "shares": activity.shares(bars),
        "data": _data(page, activity, bars),
    }


def _layers(run: Run) -> dict[str, Any]:
    names = run.about.get("layers", [])
    count = len(names)
    rows = [(step, list(row)) for step, row in run.layers if len(row) == 3 * count]
    return {
        "names": names,
        "steps": [step for step, _ in rows],
        "gradient_norm": [row[:count] for _, row in rows],
        "weight_norm": [row[count : 2 * count] for _, row in rows],
        "update_ratio": [row[2 * count :] for _, row in rows],
    }


def _slots(page: Shown, run: Run, activity: Activity, bars: list[Bar]) -> list[dict[str, Any]]:
    if run.state != "running":
        idle = {"doing": "", "name": "", "step": run.step, "worker": ""}
        return [slot | idle for slot in run.slots]
    doing = activity.now(
        (task.key, page.workers.get(address, ""))
        for address, worker in page.scheduler.workers.items()
        for task in worker.processing
    )
    slots = list(run.slots)
    if any(bar.slot == ANYWHERE for bar in bars):
        slots.append({"slot": ANYWHERE, "row": "any worker", "stage": 0, "branch": 0, "lane": ANYWHERE})
    waits = {"doing": "", "name": "", "step": run.step}
    return [
        slot | {"worker": activity.workers.get(slot["slot"], "")} | doing.get(slot["slot"], waits)
        for slot in slots
    ]


def _data(page: Shown, activity: Activity, bars: list[Bar]) -> dict[str, Any]:
    """Return the state of the cache of chunks, from the group of the tasks that load them."""
    data = activity.data
    if not data:
        return {}
    group = page.scheduler.task_groups.get(data["key"])
    return {
        "chunks": data["chunks"],
        "kept": data["kept"],
        "in_memory": 0 if group is None else group.states.get("memory", 0),
        "bytes": 0 if group is None else max(0, group.nbytes_total),
        "ahead": activity.ahead(bars),
    }


def _workers(page: Shown) -> list[dict[str, Any]]:
    return [
        {
            "name": str(worker.name),
            "address": address,
            "threads": worker.nthreads,
            "memory": worker.metrics.get("memory", 0),
            "cpu": worker.metrics.get("cpu", 0.0),
            "running": len(worker.processing),
        }
        for address, worker in page.scheduler.workers.items()
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
