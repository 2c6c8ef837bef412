"""Pages of Dask's dashboard, mended for graphs that train step after step.

The page of task groups draws each group to the right of those that it depends on, and fails where there is no
such order (https://github.com/dask/distributed/issues/5100). Groups are named by operation, so those of a
training depend on each other in a circle, and now and then on one whose tasks are all forgotten:

    load-data ─> grad ─> reduce-gradient ─> update
                  └<──────── next step ────────┘

Names that number the steps would break the circle, but the scheduler and its pages keep something for each
group that ever was. So the circle is broken where the page is drawn.
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
"""`x`, the column, and `y`, the row of a group."""
Arrows = dict[str, list[str]]
"""The groups that arrows come from, `nstart`, and that they go to, `nend`."""


def mend_pages() -> None:
    """Mend the pages that the scheduler of this process shows; a second time does nothing.

    Warns where distributed has changed. A scheduler without bokeh has no pages. Whatever still fails, e.g.
    where a browser goes away while it connects, is logged in a line.
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
        logger.warning("distributed has other pages /graph and /groups than those mended here; they may fail")
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
        ours = isinstance(page.layout, StepLayout)  # not where the page was opened before this
        if ours and not page.layout.skip_forgotten(len(nodes), len(edges)):
            page.invisible_count = math.inf  # so that it begins anew
        update(page)

    groups.update_layout = _update_layout
    graph.__init__, graph.update = build_following, update_in_step
    pages.GraphLayout = StepLayout


def in_one_line(record: logging.LogRecord) -> bool:
    """Replace the traceback of an error in a page by a line; a filter that lets every record pass."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
        if any(_OF_PAGES.search(file) for file in files):
            record.msg, record.args = "a page of Dask's dashboard failed: %s", (one_line(repr(error)),)
            record.exc_info = record.exc_text = None
    return True


def mend_worker_pages() -> None:
    """Mend the pages that workers of this process show; a second time does nothing.

    Their page /status looks for transfers in a log that has only those which are done, and only the last.
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
    """The places of the groups on the page `TaskGroupGraph`, and the arrows that end at each of them."""
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
    """Return names, each after those `below` it, with these; those that would close a circle are left out.

    `start`: when each began to compute, or 0. A circle begins at the name that began first. Where none did,
    it begins at the one that most others are below of already.
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
    """Return a place for each name, to the right of those that it depends on, which come before it."""
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
