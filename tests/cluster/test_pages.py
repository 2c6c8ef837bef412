"""Pages of Dask's dashboard: none fails while layouts train; /groups and /graph show the steps."""

from __future__ import annotations

import logging
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import dashboard_visits as visits
import pytest
from clusters import SharedCluster

from daskpar import Callback, Layout, Trainer
from daskpar.cluster.executor import choose_executor
from daskpar.cluster.pages import in_one_line, in_order, place
from daskpar.data import Digits

MODEL = ["flatten", {"dense": 8}, "relu", {"dense": 8}, "relu", {"dense": 10}]
LAYOUTS = {
    "lanes": Layout(data=2),
    "stages": Layout(stages=2, microbatches=2),
    "stale": Layout(data=2, update="stale"),
    "async": Layout(data=2, update="async"),
    "local": Layout(replicas=2, average_every=4),
    "shards": Layout(data=2, shards=2),
    "window": Layout(grain="window"),
    "layer": Layout(data=2, grain="layer"),
    "stage": Layout(data=2, grain="stage"),
    "width": Layout(width=2),
}
LONG = "width", "stage", "shards", "stages"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SharedCluster]:
    """A cluster of this module's own: pages leave something behind on a scheduler."""
    shared = SharedCluster("threads")
    yield shared
    visits.close_pages()
    shared.close()


@pytest.fixture
def client(cluster: SharedCluster) -> Iterator[Any]:
    with cluster.current() as client:
        yield client


class Visit(Callback):
    """Calls a function now and then while a run goes on."""

    def __init__(self, visit: Any, times: int = 3):
        self.visit, self.times = visit, times
        self.failures: list[str] = []

    def after_steps(self, run: Any, entries: Any) -> None:
        if self.times:
            self.times -= 1
            self.failures += self.visit()


def fit(client: Any, layout: Layout, visit: Visit) -> None:
    Trainer(MODEL, batch=128, epochs=4, layout=layout, client=client, callbacks=[visit]).fit(Digits())
    assert visit.times == 0
    assert not visit.failures, visit.failures[0]


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Errors in the logs, and failures of plugins of the scheduler, which are no errors there."""
    return [r.getMessage() for r in caplog.records if r.levelno > logging.INFO or "failed" in r.getMessage()]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in LAYOUTS]
)
def test_no_open_page_fails(name: str, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "distributed.scheduler")
    visits.close_pages()
    pages = () if name == "lanes" else ("/graph", "/groups", "/status")

    def visit() -> list[str]:
        if visits.are_open():
            return client.run_on_scheduler(visits.refresh_pages)
        return client.run_on_scheduler(visits.open_pages, pages)

    fit(client, LAYOUTS[name], Visit(visit))
    assert not client.run_on_scheduler(visits.refresh_pages)
    assert not client.run_on_scheduler(visits.open_pages, ["/groups", "/graph"])
    assert not complaints(caplog)


def test_addresses_answer(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By HTTP: the pages about workers and tasks, and of the others those that were mended."""

    def addresses(training: bool) -> list[str]:
        scheduler = client.dashboard_link.removesuffix("/status")
        worker, info = next(iter(client.scheduler_info(n_workers=-1)["workers"].items()))
        pages = [f"main/{page}" for page in ("workers.html", "exceptions.html", "logs.html")]
        pages += [f"{kind}/{quoted(worker)}.html" for kind in ("worker", "logs", "call-stacks")]
        if training:
            pages += [f"task/{quoted(str(key))}.html" for key in client.run_on_scheduler(keys_held)]
        return [
            *(f"{scheduler}/info/{page}" for page in pages),
            *(f"{scheduler}/{page}" for page in ("groups", "graph", "health", "metrics", "json/counts.json")),
            f"http://127.0.0.1:{info['services']['dashboard']}/status",
        ]

    def failures(training: bool = False) -> list[str]:
        return [failure for address in addresses(training) if (failure := failure_at(address))]

    fit(client, Layout(data=2), Visit(lambda: failures(training=True), times=1))
    assert not failures()
    assert not complaints(caplog)


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def keys_held(dask_scheduler: Any) -> list[Any]:
    return [
        key for key, task in dask_scheduler.tasks.items() if key[0].startswith("load-") and task.who_wants
    ]


def failure_at(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        return f"{address}: {error}"
    return ""


def test_a_worker_s_page_shows_the_transfers_that_are_logged(processes_client: Any) -> None:
    """Dask's page counts those that are not done, and those that the log has lost."""
    choose_executor(processes_client, 1).close()  # sets the workers up
    assert set(processes_client.run(update_transfers).values()) == {None}


def update_transfers(dask_worker: Any) -> None:
    from distributed.dashboard.components.worker import CommunicatingStream

    dask_worker.transfer_outgoing_count_total += 1
    CommunicatingStream(dask_worker).update()


@pytest.mark.parametrize("file, of_a_page", [("/x/bokeh/server/views/ws.py", True), ("/x/mine.py", False)])
def test_an_error_in_a_page_is_a_line_in_the_log(file: str, of_a_page: bool) -> None:
    try:
        exec(compile("assert session is not None", file, "exec"), {"session": None})
    except AssertionError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "Uncaught %s", ("GET",), sys.exc_info())
    assert in_one_line(record)
    lines = logging.Formatter().format(record).splitlines()
    assert (lines == ["a page of Dask's dashboard failed: AssertionError()"]) == of_a_page
    assert (len(lines) == 1) == of_a_page


def test_groups_are_placed_by_their_order_in_a_step() -> None:
    below = {
        "update": {"reduce", "grad", "state"},
        "reduce": {"grad"},
        "grad": {"data", "model", "state", "update"},
        "data": {"model"},
        "state": {"model"},
        "model": set(),
    }
    unknown = dict.fromkeys(below, 0.0)
    for start in (unknown, {**unknown, "grad": 2.0, "update": 3.0}):
        places = place(in_order(below, start))
        columns = {name: where["x"] for name, where in places.items()}
        assert columns == {"model": 0, "data": 1, "state": 1, "grad": 2, "reduce": 3, "update": 4}
    assert len({(where["x"], where["y"]) for where in places.values()}) == len(below)


def test_a_circle_begins_where_computing_began() -> None:
    below = {"a": {"c"}, "b": {"a"}, "c": {"b"}}
    assert list(in_order(below, {"a": 3.0, "b": 1.0, "c": 2.0})) == ["b", "c", "a"]


def test_the_graph_shows_steps_and_no_edges_from_the_data(client: Any) -> None:
    """Each operation has a row, a step is right of the one before, and what all read has no edges."""
    graph: dict[str, Any] = {}

    def visit() -> list[str]:
        failures = client.run_on_scheduler(visits.open_pages, ["/graph"])
        graph.update(client.run_on_scheduler(shown_graph))
        return failures

    visits.close_pages()
    fit(client, Layout(data=2), Visit(visit, times=1))
    places, edges = graph["places"], graph["edges"]
    grads = {key: where for key, where in places.items() if key.startswith("('grad-")}
    assert len({y for _, y in grads.values()}) == 2
    assert len({x for x, _ in grads.values()}) == len(grads) / 2
    assert len({y for key, (_, y) in places.items() if key.startswith("('load-data-")}) == 1
    sources = {where for key, where in places.items() if key.startswith(("('load-data-", "('load-model-"))}
    assert edges and not {begin for begin, _ in edges} & sources


def shown_graph(dask_scheduler: Any = None) -> dict[str, Any]:
    """The nodes and edges that the open page /graph shows."""
    page = visits.component("/graph")
    nodes, edges = page.node_source.data, page.edge_source.data
    keys = map(urllib.parse.unquote_plus, nodes["key"])
    lines = zip(edges["x"], edges["y"], strict=True)
    return {
        "places": dict(zip(keys, zip(nodes["x"], nodes["y"], strict=True), strict=True)),
        "edges": [tuple(zip(xs, ys, strict=True)) for xs, ys in lines],
    }


def test_tasks_that_are_gone_before_the_graph_shows_them_do_not_shift_the_others(client: Any) -> None:
    visits.close_pages()
    assert not client.run_on_scheduler(visits.open_pages, ["/graph"])
    gone = client.submit(sum, [1, 2], key="gone")
    gone.result()
    gone.release()
    while client.run_on_scheduler(is_known, "gone"):
        time.sleep(0.01)
    kept = client.submit(sum, [3, 4], key="kept")
    assert kept.result() == 7
    assert not client.run_on_scheduler(visits.refresh_pages)
    shown, changed = client.run_on_scheduler(numbers, "kept")
    assert shown == changed


def is_known(key: str, dask_scheduler: Any = None) -> bool:
    return key in dask_scheduler.tasks


def numbers(key: str, dask_scheduler: Any = None) -> tuple[int, int]:
    """The number of a task among the nodes that are shown, and the one that its changes go to."""
    page = visits.component("/graph")
    return list(page.node_source.data["key"]).index(key), page.layout.index[key]
