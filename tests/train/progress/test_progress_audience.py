"""Who is shown progress: people at a terminal or a notebook, and nobody else unless asked for."""

from __future__ import annotations

import io
import multiprocessing
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from daskpar import InputError, Trainer, progress
from daskpar.train.progress import choice
from daskpar.train.progress.audience import Screen, audience
from daskpar.train.progress.bar import BarProgress
from daskpar.train.progress.lines import LineProgress
from daskpar.train.progress.notebook import NotebookProgress
from daskpar.train.settings import Settings


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a test, not as a fixture: pytest puts streams of its own in place before each test."""
    monkeypatch.setattr(sys, "stdout", Tty())


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_nobody_looks_at_a_file() -> None:
    assert [audience(verbose) for verbose in (None, 0, False, 1, True, 2)] == ["nobody"] * 3 + ["log"] * 3


def test_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    assert [audience(verbose) for verbose in (None, 0, 1, 2)] == ["terminal", "nobody", "terminal", "log"]


def test_standard_error_may_be_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Tty())
    assert audience(None) == "terminal" and choice.watched().stderr
    monkeypatch.setattr(sys, "stdout", Tty())
    assert not choice.watched().stderr


@pytest.mark.parametrize("stream", [None, object(), Tty()], ids=["missing", "strange", "closed"])
def test_a_stream_that_is_none(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    if isinstance(stream, Tty):
        stream.isatty = lambda: io.StringIO().close() or _closed()  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    assert audience(None) == "nobody"


def _closed() -> bool:
    raise ValueError("I/O operation on closed file")


def test_a_notebook(notebook: None) -> None:
    assert [audience(verbose) for verbose in (None, 0, 1, 2)] == ["notebook", "nobody", "notebook", "log"]
    assert isinstance(choice.progress_for(Settings([{"dense": 1}]))[0], NotebookProgress)
    assert isinstance(progress(), NotebookProgress)


def test_ipython_on_a_terminal_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert audience(None) == "terminal"


def test_a_thread_and_a_child_process_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.extend((audience(None), audience(1))))
    thread.start()
    thread.join()
    assert heard == ["nobody", "terminal"]
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    assert audience(None) == "nobody"


def test_a_task_of_dask_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setattr("daskpar.train.progress.audience.within_task", lambda: True)
    assert (audience(None), audience(1)) == ("nobody", "terminal")


def test_workers_of_joblib_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    from joblib import Parallel, delayed

    heard = Parallel(n_jobs=2, backend="threading")(delayed(audience)(None) for _ in range(4))
    assert heard == ["nobody"] * 4


def test_one_of_their_own_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    assert isinstance(choice.progress_for(Settings([{"dense": 1}]))[0], BarProgress)
    assert choice.progress_for(Settings([{"dense": 1}], callbacks=[progress()])) == []
    assert isinstance(choice.progress_for(Settings([{"dense": 1}], verbose=2))[0], LineProgress)


def test_one_thing_moves_at_a_time() -> None:
    screen, first, second = Screen(), object(), object()
    assert screen.claim(first) and not screen.claim(second)
    screen.release(second)
    assert not screen.claim(second)
    screen.release(first)
    assert screen.claim(second)


@pytest.mark.parametrize("verbose", ["yes", -1, 1.5])
def test_what_verbose_may_be(verbose: Any) -> None:
    with pytest.raises(InputError, match="verbose"):
        Trainer([{"dense": 1}], verbose=verbose)
