"""Workers that are lost: new ones are started, others are waited for, and what was learnt is kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import pytest
from clusters import workers_in_this_process
from distributed import Client

from daskpar import Callback, InputError, Layout, Trainer, open_client
from daskpar.cluster import keeper, patience
from daskpar.cluster.clients import THREADED
from daskpar.data import Digits
from daskpar.errors import ClusterLostError
from daskpar.train import driver

MODEL = ["flatten", {"dense": 16}, "relu", {"dense": 10}]


class Clock:
    """A clock that is set forward instead of waited for."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class FakeClient:
    """A client of which only the workers that its scheduler knows are asked."""

    def __init__(self, *workers: dict[str, Any]):
        self.scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")
        self.workers = list(workers)

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": dict(enumerate(self.workers))}


PAUSED = {"status": "paused", "memory_limit": 250_000_000, "metrics": {"memory": 215_000_000}}
RUNNING = {"status": "running", "memory_limit": 250_000_000, "metrics": {"memory": 100_000_000}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def waited(client: Any, clock: Clock, seconds: int) -> patience.Patience:
    """Wait for a result of a client for so many seconds, a look a second."""
    waiting = patience.Patience(client)
    waiting.begin()
    for _ in range(seconds):
        clock.now += 1
        waiting.check()
    return waiting


@pytest.mark.parametrize(
    "workers, words",
    [
        ([], "no workers are left at tcp://10.0.0.1:8786"),
        ([PAUSED], "are paused, since their memory is full (215 of 250 MB)"),
        ([PAUSED, PAUSED], "all 2 workers"),
    ],
    ids=["none", "paused", "all paused"],
)
def test_patience_ends(workers: Any, words: str, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with dask.config.set({"daskpar.patience": "2 minutes"}):
        waited(FakeClient(*workers), clock, 115)
        assert len(caplog.records) == 5 and all(words in line for line in caplog.messages)  # every 20 s
        with pytest.raises(ClusterLostError, match=r"gave up after 12\d s") as caught:
            waited(FakeClient(*workers), clock, 130)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [[RUNNING], [PAUSED, RUNNING]], ids=["running", "one paused"])
def test_a_long_task_is_waited_for(workers: Any, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    waited(FakeClient(*workers), clock, 5000)
    assert not caplog.records


def test_patience_begins_anew_with_each_worker(clock: Clock) -> None:
    client = FakeClient()
    waiting = waited(client, clock, 400)
    client.workers = [RUNNING]
    clock.now += 10
    waiting.check()
    client.workers = []
    for _ in range(500):
        clock.now += 1
        waiting.check()


def test_workers_that_keep_dying(clock: Clock) -> None:
    client = FakeClient(RUNNING)
    client.cluster = SimpleClusters()
    kept = keeper.Keeper(client.cluster, {0: {}, 1: {}})
    waiting = waited(client, clock, 20)
    kept.starts = 11
    waiting.check()  # soon after the last result
    clock.now += 20
    with pytest.raises(ClusterLostError, match="ended again and again: 11 were started anew"):
        waiting.check()
    waiting.begin()
    clock.now += 100
    waiting.check()


class SimpleClusters:
    """What a Keeper is told of in place of a cluster."""


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Call a function in a thread; the event that it is given is set when it is to end."""
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def killed(client: Any, pauses: list[float]) -> Iterator[None]:
    """Kill all worker processes of a cluster after each of these pauses."""

    def kill(done: threading.Event) -> None:
        for pause in pauses:
            if done.wait(pause):
                return
            for nanny in list(client.cluster.workers.values()):
                if nanny.pid:
                    os.kill(nanny.pid, signal.SIGKILL)

    with meanwhile(kill):
        yield


def digits(client: Any, **options: Any) -> Trainer:
    layout = Layout(data=2)
    return Trainer(MODEL, **{"batch": 64, "epochs": 20, "layout": layout, "client": client, **options})


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.2, 1.0, 2.5, 5.0])
def test_all_workers_killed_twice_cost_no_bit(pause: float) -> None:
    expected = digits(THREADED).fit(Digits()).parameters_sha256_
    with open_client("processes", workers=2, dashboard_port=0) as client, killed(client, [1.5, pause]):
        assert digits(client).fit(Digits()).parameters_sha256_ == expected


@pytest.mark.slow
def test_a_nanny_that_has_given_up_is_replaced() -> None:
    with open_client("processes", workers=1, dashboard_port=0) as client:
        (nanny,) = client.cluster.workers.values()
        client.cluster.sync(nanny.close)
        assert client.submit(sum, [1, 2], pure=False).result(timeout=100) == 3
        assert keeper.keeper_of(client).starts == 1


@pytest.mark.slow
def test_workers_that_are_killed_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_DYING", 10.0)
    monkeypatch.setattr(driver, "_RESTART_SECONDS", 0.5)
    options: dict[str, Any] = {"folder": tmp_path, "checkpoint_every": "100 epochs", "epochs": 60}
    with open_client("processes", workers=2, dashboard_port=0) as client:
        with killed(client, [6.0] + [0.3] * 300), pytest.raises(ClusterLostError) as caught:
            digits(client, **options).fit(Digits())
    assert "ended again and again" in str(caught.value) and "`--resume`" in str(caught.value)
    (kept,) = (tmp_path / "checkpoints").glob("step-*")
    assert str(kept) in str(caught.value)
    resumed = digits(THREADED, **options).fit(Digits(), resume=True)
    assert 0 < resumed.resumed_at_ < resumed.steps_
    assert resumed.parameters_sha256_ == digits(THREADED, epochs=60).fit(Digits()).parameters_sha256_


class Loser(Callback):
    """Takes the workers of a cluster away at an evaluation."""

    def __init__(self, lose: Callable[[], None], step: int):
        self.lose, self.step = lose, step

    def after_evaluation(self, trainer: Any, record: Any) -> None:
        if record["step"] >= self.step:
            self.lose()
            self.step = 10**9


@pytest.mark.parametrize("loss", ["workers", "scheduler"])
@pytest.mark.parametrize("folder", [True, False], ids=["folder", "no folder"])
def test_the_last_good_state_is_kept(loss: str, folder: bool, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(driver, "_RESTART_TASKS", 60)
    options: dict[str, Any] = {"folder": tmp_path if folder else None, "checkpoint_every": "100 epochs"}
    cluster = workers_in_this_process(2)
    with dask.config.set({"daskpar.patience": 1.5}), Client(cluster, set_as_default=False) as client:
        lose = cluster.close if loss == "scheduler" else lambda: cluster.scale(0)
        trainer = digits(client, callbacks=[Loser(lose, 120)], **options)
        with pytest.raises(ClusterLostError) as caught:
            trainer.fit(Digits())
    cluster.close()
    assert "\n" not in str(caught.value)
    assert trainer.state_.step == trainer.steps_ > 0
    assert trainer.predict(Digits().arrays()[0][:5]).shape == (5, 10)
    if not folder:
        assert f"the Trainer has the state of step {trainer.steps_}" in str(caught.value)
        return
    assert f"step-{trainer.steps_:08d} is kept" in str(caught.value) and "`--resume`" in str(caught.value)
    resumed = digits(THREADED, **options).fit(Digits(), resume=True)
    assert resumed.resumed_at_ == trainer.steps_
    whole = digits(THREADED).fit(Digits())
    assert resumed.parameters_sha256_ == whole.parameters_sha256_
    assert [record["train"] for record in resumed.history_] == [record["train"] for record in whole.history_]


@contextmanager
def while_starting(count: int) -> Iterator[None]:
    """Kill worker processes of this process as they come up, so many of them."""
    import psutil

    def kill(done: threading.Event) -> None:
        left = count
        while left and not done.wait(0.05):
            for child in psutil.Process().children():
                with_age = time.time() - child.create_time()
                if left and "spawn_main" in " ".join(child.cmdline()) and with_age > 0.3:
                    child.kill()
                    child.wait()
                    left -= 1

    with meanwhile(kill):
        yield


def test_a_worker_killed_while_the_cluster_starts() -> None:
    with while_starting(1), open_client("processes", workers=1, dashboard_port=0) as client:
        assert client.submit(sum, [1, 2], pure=False).result(timeout=100) == 3


def test_workers_that_never_come_up(caplog: pytest.LogCaptureFixture) -> None:
    with while_starting(1000), pytest.raises(InputError, match="did not start: its worker processes ended"):
        with open_client("processes", workers=1, dashboard_port=0):
            pass
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
