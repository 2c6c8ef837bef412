"""Corrections of pages of Dask's dashboard for graphs of a training, which repeat step after step.

The page of task groups draws each group to the right of its dependencies, and fails if the dependencies form
a circle (https://github.com/dask/distributed/issues/5100). Groups are named by operation, so those of a
training form a circle. A group may also depend on one whose tasks are all forgotten:

    load-data ─> grad ─> reduce-gradient ─> update
                  └<──────── next step ────────┘

Groups with a step number in their name would break the circle, but the scheduler and its pages keep data for
every group for ever. So the circle is broken when the page is drawn.
"""

from __future__ import annotations

import logging
import math
import re
import traceback
from collections.abc import Mapping, Set
from functools import wraps
from typing import Any

from daskpar.cluster.step_layout import COLUMNS, StepLayout
from daskpar.errors import one_line

logger = logging.getLogger(__name__)
_OF_PAGES = re.compile(r"[/\\](bokeh[/\\]server|distributed[/\\]dashboard)[/\\]")

Place = dict[str, int]
"""Position of a group: `x` is its column, `y` its row."""
Arrows = dict[str, list[str]]
"""Arrows between groups: `nstart` are the groups at their starts, `nend` those at their ends."""


def mend_pages() -> None:
    """Correct the pages of the scheduler in this process; a second call does nothing.

    Logs a warning if this version of distributed has other pages. A scheduler without bokeh has no pages. Any
    other error, e.g. of a browser that disconnects early, is logged as one line.
    """
    logging.getLogger("tornado.application").addFilter(in_one_line)
    try:
        from distributed.dashboard.components import scheduler as pages
    except ImportError:
        return
    try:
        if pages.GraphLayout is StepLayout:
            return
        graph, groups = pages.TaskGraph, pages.TaskGroupGraph
        build, update = graph.__init__, graph.update
        assert callable(groups.update_layout)
    except (AttributeError, AssertionError):
        logger.warning(
            "the pages /graph and /groups of this version of distributed are unknown to daskpar and may fail"
        )
        return

    @wraps(build)
    def build_following(page: Any, *arguments: object, **options: object) -> None:
        build(page, *arguments, **options)
        page.root.x_range.update(
            follow="end", follow_interval=COLUMNS, range_padding=2, range_padding_units="absolute"
        )

    @wraps(update)
    def update_in_step(page: Any) -> None:
        nodes, edges = page.node_source.data["x"], page.edge_source.data["x"]
        corrected = isinstance(page.layout, StepLayout)  # False if the page was opened before this
        if corrected and not page.layout.skip_forgotten(len(nodes), len(edges)):
            page.invisible_count = math.inf  # makes the page start again
        update(page)

    groups.update_layout = _update_layout
    graph.__init__, graph.update = build_following, update_in_step
    pages.GraphLayout = StepLayout


def in_one_line(record: logging.LogRecord) -> bool:
    """Replace the traceback of an error in a page by one line.

    It is a log filter that passes every record.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
        if any(_OF_PAGES.search(file) for file in files):
            record.msg, record.args = "a page of Dask's dashboard failed: %s", (one_line(repr(error)),)
            record.exc_info = record.exc_text = None
    return True


def mend_worker_pages() -> None:
    """Correct the pages of the workers in this process; a second call does nothing.

    Their page /status reads transfers from a log, by counts that include unfinished and dropped transfers.
    """
    try:
        from distributed.dashboard.components.worker import CommunicatingStream as Transfers
    except ImportError:
        return
    if hasattr(Transfers.update, "mends"):
        return
    update = Transfers.update

    @wraps(update)
    def update_what_is_logged(page: Any) -> None:
        worker = page.worker
        for way, total in (
            ("outgoing", worker.transfer_outgoing_count_total),
            ("incoming", worker.state.transfer_incoming_count_total),
        ):
            last, logged = f"last_transfer_{way}_count_total", getattr(worker, f"transfer_{way}_log")
            setattr(page, last, max(getattr(page, last), total - len(logged)))
        update(page)

    update_what_is_logged.mends = True  # type: ignore[attr-defined]
    Transfers.update = update_what_is_logged


def _update_layout(page: Any) -> tuple[dict[str, Place], dict[str, Arrows]]:
    """Return the positions of the groups on the page `TaskGroupGraph`, and the arrows to each group."""
    groups = page.scheduler.task_groups
    below = {
        name: {other.name for other in group.dependencies if other.name in groups} - {name}
        for name, group in groups.items()
    }
    places = place(in_order(below, {name: group.start for name, group in groups.items()}))
    arrows: dict[str, Arrows] = {
        name: {"nstart": list(others), "nend": [name] * len(others)} for name, others in below.items()
    }
    return places, arrows


def in_order(below: Mapping[str, set[str]], start: Mapping[str, float]) -> dict[str, set[str]]:
    """Sort names so that each comes after its dependencies `below`, and return these by name.

    Dependencies that would close a circle are left out. `start` is the time at which a group started to
    compute, or 0. A circle starts at the group that started first. If none has started, it starts at the
    group with the most dependencies already sorted.
    """
    above: dict[str, list[str]] = {name: [] for name in below}
    for name, others in below.items():
        for other in others:
            above[other].append(name)
    waiting = {name: set(others) for name, others in below.items()}
    ready = [name for name, others in waiting.items() if not others]
    ordered: dict[str, set[str]] = {}

    def began(name: str) -> tuple[float, int]:
        return start[name] or math.inf, len(waiting[name]) - len(below[name])

    while waiting:
        name = ready.pop() if ready else min(waiting, key=began)
        ordered[name] = below[name] - waiting.pop(name)
        for other in above[name]:
            if other in waiting:
                waiting[other].discard(name)
                if not waiting[other]:
                    ready.append(other)
    return ordered


def place(ordered: Mapping[str, Set[str]]) -> dict[str, Place]:
    """Return a position for each name, to the right of its dependencies, which precede it in `ordered`."""
    places: dict[str, Place] = {}
    taken: set[tuple[int, int]] = set()
    for name, others in ordered.items():
        before = [places[other] for other in others]
        x = max((each["x"] for each in before), default=-1) + 1
        y = max((each["y"] for each in before), default=0)
        while (x, y) in taken:
            y += 1
        taken.add((x, y))
        places[name] = {"x": x, "y": y}
    return places
