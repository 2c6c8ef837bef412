"""The routes of the training page on a scheduler's dashboard. All of them only read.

    /daskpar                 the page            /daskpar/metrics.json    what it shows, as data
    /daskpar/page.js, ...    its files           /metrics                 Dask's Prometheus metrics, and ours
    /daskpar/runs/ID/NAME    a page in the folder of a run, e.g. report.html

The routes need no bokeh; without it Dask has no pages of its own to link from.
"""

from __future__ import annotations

import logging
import mimetypes
from functools import cache
from importlib.resources import files
from typing import Any

from tornado.web import HTTPError, RequestHandler

from daskpar.dashboard.metrics import metrics_json
from daskpar.dashboard.run_files import page_file
from daskpar.dashboard.shown import Shown

logger = logging.getLogger(__name__)

PATH = "daskpar"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_ANY_PREFIX = r"(?:/.*)?/"  # a dashboard may have a prefix, which the scheduler does not remember


def add_routes(page: Shown) -> None:
    """Add the routes to the scheduler of a page, and a link to it to the navigation of Dask's pages."""
    scheduler = page.scheduler
    page.dask_pages = _link(scheduler)
    options = {"page": page}
    scheduler.http_application.add_handlers(
        ".*$",
        [
            (rf"{_ANY_PREFIX}{PATH}", _Page, options),
            (rf"{_ANY_PREFIX}{PATH}/", _Slash),
            (rf"{_ANY_PREFIX}{PATH}/metrics\.json", _Metrics, options),
            (rf"{_ANY_PREFIX}{PATH}/([a-z_]+\.(?:js|css))", _File),
            (rf"{_ANY_PREFIX}{PATH}/runs/([a-z0-9]+)/([a-z]+\.html)", _RunPage, options),
        ],
    )


def _link(scheduler: Any) -> list[str]:
    """Add the page to the navigation, and return the names of Dask's pages; [] without bokeh."""
    try:
        from distributed.dashboard.scheduler import template_variables
    except ImportError:
        return []
    try:
        pages = template_variables(scheduler)["pages"]
        theirs = [name for name in pages if name != PATH]
        if PATH not in pages:
            pages.append(PATH)
    except (AttributeError, KeyError, TypeError):
        logger.warning("the navigation of this version of Dask's dashboard is unknown; open /%s", PATH)
        return []
    return theirs


class _Reading(RequestHandler):
    """Base of the handlers: GET only, nothing is cached, nothing from elsewhere is loaded."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")


class _Page(_Reading):
    def initialize(self, page: Shown) -> None:
        self.page = page

    def get(self) -> None:
        self.page.watch()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(_content("page.html") or b"")


class _Slash(_Reading):
    def get(self) -> None:
        self.redirect(f"../{PATH}")


class _Metrics(_Reading):
    def initialize(self, page: Shown) -> None:
        self.page = page

    def get(self) -> None:
        self.page.watch()
        try:
            since = int(self.get_query_argument("since", "-1"))
        except ValueError:
            raise HTTPError(400, reason="since: expected a whole number, the version of an answer") from None
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(metrics_json(self.page, self.get_query_argument("run", None), since))


class _RunPage(_Reading):
    def initialize(self, page: Shown) -> None:
        self.page = page

    def get(self, run: str, name: str) -> None:
        known = self.page.runs.by_id.get(run)
        file = None if known is None else page_file(known, name)
        if file is None:
            raise HTTPError(404)
        self.set_header(
            "Content-Security-Policy", "sandbox allow-scripts allow-popups allow-downloads"
        )  # of no site
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(file.read_bytes())


class _File(_Reading):
    def get(self, name: str) -> None:
        content = _content(name)
        if content is None:
            raise HTTPError(404)
        self.set_header("Content-Type", f"{mimetypes.guess_type(name)[0]}; charset=utf-8")
        self.write(content)


@cache
def _content(name: str) -> bytes | None:
    """Return a file of the page; None if there is none of that name."""
    for folder in ("daskpar.dashboard.static", "daskpar.report.charts"):
        file = files(folder).joinpath(name)
        if file.is_file():
            return file.read_bytes()
    return None
