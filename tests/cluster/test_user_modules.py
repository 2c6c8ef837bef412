"""Files of a user's own as modules: on workers that run, that are started anew, and on the scheduler."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from daskpar import InputError, open_client
from daskpar.cluster import user_modules
from daskpar.cluster.user_modules import load_file, share

FILE = "a_file_of_somebody"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(user_modules, "_loaded", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / f"{FILE}.py"
    path.write_text("import os\nmade_by = os.getpid()\n\n\ndef doubled(x):\n    return 2 * x\n")
    yield path
    sys.modules.pop(FILE, None)


def started_in() -> int:
    """The process in which the module was made, as the one that is asked knows it."""
    return int(sys.modules["a_file_of_somebody"].made_by)


def test_a_worker_that_is_started_anew_has_the_module(path: Path) -> None:
    """Its file is gone meanwhile: the text was sent."""
    load_file(str(path))
    path.unlink()
    with open_client("processes", 1, dashboard_port=0) as client:
        share(client)
        before = asked(client)
        assert client.submit(sys.modules[FILE].doubled, 4).result() == 8
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while (now := asked(client)) == before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert now not in (before, os.getpid())
        assert client.submit(sys.modules[FILE].doubled, 5).result() == 10


def asked(client: Any) -> int:
    """The process of the one worker, as its module knows it; the last known while it is away."""
    while True:
        with suppress(Exception):  # a worker that was just killed fails in many ways
            found = client.run(started_in)
            if found:
                return int(next(iter(found.values())))
        time.sleep(0.1)


def test_a_file_is_run_once(path: Path) -> None:
    assert load_file(str(path)) == str(path)
    module = sys.modules[FILE]
    path.write_text("1 / 0")
    load_file(os.path.relpath(path))
    assert sys.modules[FILE] is module and module.doubled(3) == 6


def test_a_file_that_fails_leaves_no_module(path: Path) -> None:
    path.write_text("made = 1\n1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_file(str(path))
    assert FILE not in sys.modules


def test_another_file_of_the_same_name_is_refused(path: Path, tmp_path: Path) -> None:
    load_file(str(path))
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(InputError, match=f"there is a module {FILE} already, {path}; rename the file"):
        load_file(str(other))
