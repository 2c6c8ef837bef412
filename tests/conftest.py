"""Clusters and a browser that tests share: starting one takes longer than most of them."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from clusters import SharedCluster, current_client, forget_clients

from daskpar.backend import kernels
from daskpar.backend.kernels import reference

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-guides`: the tests of guides write the generated parts instead of comparing them."""
    parser.addoption("--write-guides", action="store_true", help="write the generated parts of guides anew")


@pytest.fixture
def write_guides(request: pytest.FixtureRequest) -> bool:
    """Whether the generated parts of guides are to be written."""
    return bool(request.config.getoption("--write-guides"))


def pytest_configure() -> None:
    """Hear of interrupts also where the tests were started in the background, which ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_clusters() -> Iterator[dict[str, SharedCluster]]:
    """The clusters that tests share, by kind; each is started when it is first used."""
    shared = {kind: SharedCluster(kind) for kind in ("threads", "processes")}
    yield shared
    for cluster in shared.values():
        cluster.close()


@pytest.fixture(autouse=True)
def _no_current_client() -> Iterator[None]:
    """No test finds a client that another opened, and none leaves one."""
    forget_clients()
    yield
    left = current_client()
    forget_clients()
    assert left is None, "the test left a client open"


@pytest.fixture
def threads_client(shared_clusters: dict[str, SharedCluster]) -> Iterator[Any]:
    """A client of two workers that are threads of this process; the current one."""
    with shared_clusters["threads"].current() as client:
        yield client


@pytest.fixture
def processes_client(shared_clusters: dict[str, SharedCluster]) -> Iterator[Any]:
    """A client of two workers that are processes of this machine; the current one."""
    with shared_clusters["processes"].current() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium for the tests of a file. Meanwhile its event loop runs in this thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium: none of chromium, chromium-browser and google-chrome is on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def reference_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kernels on the host as on a device, for tests that compare the two bit by bit."""
    monkeypatch.setattr(kernels, "_compiled", lambda: reference)
