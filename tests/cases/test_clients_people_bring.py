"""Clients that people bring: they work, or are refused in a line that says what to pass instead."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from clusters import workers_in_this_process
from distributed import Client

from daskpar import Ensemble, InputError, Layout, Trainer, open_client
from daskpar.backend import blas
from daskpar.cluster import main_module
from daskpar.cluster.clients import THREADED, current_client, worker_count
from daskpar.cluster.executor import choose_executor
from daskpar.cluster.kinds import address

X = np.random.default_rng(0).standard_normal((96, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def trainer(client: Any, **options: Any) -> Trainer:
    return Trainer([{"dense": 2}], batch=16, client=client, **options)


def evaluated(client: Any) -> Any:
    fitted = trainer(THREADED).fit(X, Y)
    fitted.client = client
    return fitted.evaluate(X, Y)


USES: dict[str, Callable[[Any], Any]] = {
    "fit": lambda client: trainer(client).fit(X, Y),
    "layout auto": lambda client: trainer(client, layout="auto").fit(X, Y),
    "lanes auto": lambda client: trainer(client, layout=Layout(lanes="auto")).fit(X, Y),
    "profile": lambda client: trainer(client, profile=True).fit(X, Y),
    "evaluate": evaluated,
    "ensemble": lambda client: Ensemble([{"dense": 2}], members=2, batch=16, client=client).fit(X, Y),
    "executor": lambda client: choose_executor(client, 1),
    "count of workers": lambda client: worker_count(current_client(client)),
}
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def refusal(use: Callable[[Any], Any], client: Any) -> str:
    with pytest.raises(InputError) as caught:
        use(client)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def no_workers() -> Iterator[Any]:
    with workers_in_this_process(0) as cluster:
        yield cluster


@every_use
@pytest.mark.parametrize("given", [True, False], ids=["given", "current"])
def test_an_asynchronous_client(use: Callable[[Any], Any], given: bool, no_workers: Any) -> None:
    async def within_its_loop() -> str:
        async with Client(no_workers.scheduler_address, asynchronous=True) as client:
            return refusal(use, client if given else None)

    line = asyncio.run(within_its_loop())
    assert "is asynchronous" in line and THREADED in line
    assert line.startswith("the client given" if given else "the current client")


def test_an_asynchronous_client_serves_in_another_thread(threads_client: Any) -> None:
    async def within_its_loop() -> Any:
        async with Client(threads_client.scheduler.address, asynchronous=True) as client:
            return await asyncio.to_thread(lambda: trainer(client).fit(X, Y).parameters_sha256_)

    assert asyncio.run(within_its_loop()) == trainer(THREADED).fit(X, Y).parameters_sha256_


def test_a_synchronous_client_within_an_event_loop(threads_client: Any) -> None:
    async def as_in_a_notebook() -> Any:
        return trainer(threads_client).fit(X, Y).parameters_sha256_

    assert asyncio.run(as_in_a_notebook()) == trainer(THREADED).fit(X, Y).parameters_sha256_


@every_use
def test_a_closed_client(use: Callable[[Any], Any], threads_client: Any) -> None:
    client = Client(threads_client.scheduler.address, set_as_default=False)
    client.close()
    assert "is closed" in refusal(use, client)


@every_use
def test_no_workers(use: Callable[[Any], Any], no_workers: Any) -> None:
    with Client(no_workers) as client:
        assert "has no workers; start some" in refusal(use, client)


def test_workers_that_are_on_their_way_are_waited_for() -> None:
    with workers_in_this_process(0) as cluster, Client(cluster) as client:
        cluster.scale(1)
        assert trainer(client).fit(X, Y).steps_ == 6


@every_use
def test_a_scheduler_that_is_gone(use: Callable[[Any], Any]) -> None:
    cluster = workers_in_this_process(1)
    with Client(cluster, set_as_default=False) as client:
        client._timeout = 1  # seconds that it tries to connect again
        cluster.close()
        assert "does not answer" in (line := refusal(use, client)) or "is closed" in line


@pytest.mark.parametrize(
    "client, words",
    [
        ("tcp://10.0.0.1:8786", "is an address; pass distributed.Client('tcp://10.0.0.1:8786')"),
        ("10.0.0.1:8786", "is an address; pass distributed.Client"),
        ("processes", "is a kind of cluster; write `with open_client('processes')"),
        ("threads", "is a kind of cluster"),
        ("threaded", "expected a distributed.Client, None or 'threaded-scheduler'"),
        (Client, "got the class Client; pass an instance"),
        (7, "got int; write `with open_client"),
        ({}, "got dict; write `with open_client"),
    ],
    ids=str,
)
def test_what_is_no_client(client: Any, words: str) -> None:
    for use in USES.values():
        assert words in refusal(use, client)


def test_what_belongs_to_a_client(threads_client: Any, no_workers: Any) -> None:
    future = threads_client.submit(sum, [1])
    table = {
        "got a LocalCluster; pass Client(cluster)": no_workers,
        "got a Scheduler; pass Client(": no_workers.scheduler,
        "got a Future; pass its client, future.client": future,
        "got a ClientExecutor; pass the client that it was made from": threads_client.get_executor(),
        "write `with open_client(...) as client:`": open_client("threads"),
    }
    for words, thing in table.items():
        assert words in refusal(USES["fit"], thing)


def test_predictions_need_no_client() -> None:
    with open_client("threads", workers=1) as client:
        fitted = trainer(client).fit(X, Y)
    for use in (lambda: fitted.fit(X, Y), lambda: fitted.evaluate(X, Y)):
        with pytest.raises(InputError, match="the client given is closed; set `client` to an open one"):
            use()
    assert fitted.predict(X).shape == (96, 2)
    fitted.client = None
    assert fitted.evaluate(X, Y)["loss"] > 0


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_an_address_that_accepts_and_says_nothing(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskpar.cluster.connecting.SECONDS", 1)
    with pytest.raises(InputError, match=r"no scheduler answers there \(Timed out\); expected the address"):
        address.connect(f"tcp://127.0.0.1:{silent_port}")


@pytest.mark.parametrize(
    "where, words",
    [
        ("tls://127.0.0.1:8786", "needs certificates"),
        ("ucx://127.0.0.1:8786", "no scheduler answers there"),
        ("http://127.0.0.1:8787", "unknown address scheme 'http'"),
        ("127.0.0.1", "missing port"),
        ("", "needs cluster.address"),
    ],
)
def test_wrong_addresses(where: str, words: str) -> None:
    with pytest.raises(InputError, match=words), open_client("address", address=where):
        pass


def test_the_address_of_a_worker(processes_client: Any) -> None:
    worker = next(iter(processes_client.scheduler_info(n_workers=-1)["workers"]))
    with pytest.raises(InputError, match=r"no scheduler answers there \(but a Worker does"):
        address.connect(worker)


@pytest.mark.parametrize("patience", [0, -1, "soon", True, float("nan"), [3]], ids=str)
def test_patience_is_a_time(patience: Any) -> None:
    with (
        pytest.raises(InputError, match=r"patience.*expected (seconds above 0|a number)"),
        open_client(patience=patience),
    ):
        pass
    with dask.config.set({"daskpar.patience": patience}):
        with pytest.raises(InputError, match=r"daskpar\.patience"), open_client(THREADED):
            pass


def test_limits_of_blas_threads_end_in_any_order() -> None:
    before = [library["threads"] for library in blas.describe()]
    first = blas.limit_threads(1)
    others: list[blas.limit_threads] = []
    thread = threading.Thread(target=lambda: others.append(blas.limit_threads(2)))
    thread.start()
    thread.join()
    assert {library["threads"] for library in blas.describe()} == {1}  # the first thread decides
    first.__exit__()
    assert {library["threads"] for library in blas.describe()} == {2} and blas.threads_in_force() == 2
    others[0].__exit__()
    assert [library["threads"] for library in blas.describe()] == before and blas.threads_in_force() is None


PROGRAM = """
import numpy as np
from daskpar import KIND, open_client
x, y = np.random.default_rng(0).standard_normal((100, 4)).astype("float32"), np.arange(100) % 2
with open_client("processes", workers=1, dashboard_port=0) as client:
    print(KIND([{"dense": 2}], batch=20, client=client).fit(x, y).predict(x).shape)
"""


def ran(*command: str, folder: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, input=given, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("kind", ["Trainer", pytest.param("Ensemble", marks=pytest.mark.slow)])
def test_a_program_without_a_guard(kind: str, tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(PROGRAM.replace("KIND", kind))
    done = ran("first.py", folder=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode != 0 and len(lines) < 40
    assert "first.py: worker processes run this file again" in lines[-1] and "__main__" in lines[-1]


@pytest.mark.parametrize(
    "way", ["-", pytest.param("-c", marks=pytest.mark.slow), pytest.param("deleted", marks=pytest.mark.slow)]
)
def test_a_program_that_is_no_file(way: str, tmp_path: Path) -> None:
    program = PROGRAM.replace("KIND", "Trainer")
    if way == "-":
        done = ran("-", folder=tmp_path, given=program)
    elif way == "-c":
        done = ran("-c", program, folder=tmp_path)
    else:
        (tmp_path / "gone.py").write_text("import os; os.remove(__file__)\n" + program)
        done = ran("gone.py", folder=tmp_path)
    assert done.returncode == 0 and "(100, 2)" in done.stdout and not done.stderr


def test_a_worker_may_not_start_workers(processes_client: Any) -> None:
    with pytest.raises(InputError, match=r"is a worker itself and may not start others.*get_client\(\)"):
        processes_client.submit(main_module.refuse_in_a_worker, pure=False).result()
