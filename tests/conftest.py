"""Clusters that the tests share: starting one takes longer than most of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from daskpar import open_client
from daskpar.backend import kernels
from daskpar.backend.kernels import reference


@pytest.fixture(scope="session")
def threads_client() -> Iterator[Any]:
    """Two workers that are threads of this process."""
    with open_client("threads", workers=2, dashboard_port=0) as client:
        _go_on_listening()
        yield client


@pytest.fixture(scope="session")
def processes_client() -> Iterator[Any]:
    """Two workers that are processes of this machine."""
    with open_client("processes", workers=2, dashboard_port=0) as client:
        _go_on_listening()
        yield client


def _go_on_listening() -> None:
    """Undo what a cluster does to handlers of pytest, which puts them on distributed's logger, too."""
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.NOTSET)


@pytest.fixture
def reference_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kernels on the host as on a device, for tests that compare the two bit by bit."""
    monkeypatch.setattr(kernels, "_compiled", lambda: reference)
