"""Forked children: they train as their parent does, or say in a line that they cannot."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.threaded
import numpy as np
import pytest

from daskpar import Ensemble, InputError, Trainer, open_client
from daskpar.backend.compiling import LOADING
from daskpar.cluster.executor import THREADED

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
X = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def trainer(units: int = 8, **options: Any) -> Trainer:
    model = [{"dense": units}, "relu", {"dense": 2}]
    return Trainer(model, **{"optimizer": {"sgd": 0.1}, "batch": 256, "client": THREADED, **options})


def train(units: int = 8, **options: Any) -> str:
    return trainer(units, **options).fit(X, Y).parameters_sha256_


def in_child(work: Callable[[], Any], seconds: int = 200) -> str:
    """What work gives in a forked child, which is ended where it waits for ever."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def evaluate() -> Any:
    return trainer().fit(X, Y).evaluate(X, Y)


def ensemble() -> Any:
    return [
        member.parameters_sha256_
        for member in Ensemble([{"dense": 2}], members=2, batch=128, client=THREADED).fit(X, Y).members_
    ]


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(train, id="fit"),
        pytest.param(lambda: train(512), id="fit with helper threads"),
        pytest.param(evaluate, id="evaluate"),
        pytest.param(ensemble, id="ensemble"),
        pytest.param(lambda: in_child(train), id="a child's child"),
    ],
)
def test_a_child_gets_what_its_parent_gets(work: Callable[[], Any]) -> None:
    dask.threaded.pools.clear()
    wanted = str(work())
    assert in_child(work) == wanted


def test_a_child_that_another_thread_forks() -> None:
    wanted, said = train(), []
    thread = threading.Thread(target=lambda: said.append(in_child(train)))
    thread.start()
    thread.join()
    assert said == [wanted]


def test_a_child_of_a_parent_that_trains() -> None:
    wanted, busy, begun = train(), trainer(epochs=100_000), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), busy.fit(X, Y)))
    thread.start()
    begun.wait()
    try:
        while busy._run is None:
            thread.join(0.01)
        assert in_child(train) == wanted
        # the run is the parent's: the child may train the same object
        assert in_child(lambda: setattr(busy, "epochs", 1) or busy.fit(X, Y).parameters_sha256_) == wanted
    finally:
        busy.stop()
        thread.join()


def test_a_fork_waits_for_kernels_that_are_being_loaded() -> None:
    loading, release = threading.Event(), threading.Event()

    def load() -> None:
        with LOADING:
            loading.set()
            release.wait()

    thread = threading.Thread(target=load)
    thread.start()
    loading.wait()
    threading.Timer(0.2, release.set).start()
    assert in_child(lambda: LOADING.acquire(timeout=100)) == "True"
    thread.join()


@pytest.mark.parametrize("given", [True, False], ids=["given", "current"])
def test_a_client_of_the_parent_is_refused(threads_client: Any, given: bool) -> None:
    said = in_child(lambda: train(client=threads_client if given else None))
    assert said.startswith(f"{InputError.__name__}: the client belongs to the process that this one was")
    assert "\n" not in said


def test_a_child_of_a_parent_with_a_client_opens_its_own(threads_client: Any) -> None:
    def on_own_client() -> str:
        with open_client("threads", workers=1) as client:
            return train(client=client)

    assert in_child(on_own_client) == train(client=threads_client)


def test_a_child_leaves_its_parents_folders(tmp_path: Path) -> None:
    parent = trainer(folder=tmp_path).fit(X, Y)
    folder = parent._scratch()

    def leave() -> bool:
        parent._folder._folder.remove()
        return parent._scratch() != folder

    assert in_child(leave) == "True"
    assert folder.is_dir()
