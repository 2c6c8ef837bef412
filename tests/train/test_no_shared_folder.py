"""Runs on workers that do not see the client's files, such as pods: they end, with the bits of other runs.

The workers of these tests raise an error where they open a file in the client's folder.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.cluster import storage
from daskpar.cluster.kind import THREADED
from daskpar.data import Npz
from daskpar.tasks import state_file
from daskpar.train import Callback, driver, inputs

MODEL = ["flatten", {"dense": 12}, "relu", {"dense": 8}, "relu", {"dense": 3}]
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(192, 4, 2)).astype("float32"), RNG.integers(0, 3, 192)

LAYOUTS = {
    "data": Layout(data=2),
    "stages": Layout(stages=2, microbatches=2),
    "shards": Layout(data=2, shards=2),
    "replicas": Layout(replicas=2, average_every=3),
    "width": Layout(width=2),
    "compression": Layout(data=2, compression="float16"),
    "stale": Layout(data=2, update="stale", staleness=0),
    "layer": Layout(data=2, grain="layer"),
    "window": Layout(grain="window"),
}


def hide(folder: str) -> None:
    """Let this process raise an error where it opens a file in a folder; "" hides nothing."""
    if not hasattr(sys, "_hidden_folder"):
        sys.addaudithook(_refuse)
        opened = state_file.safetensors.safe_open

        def safe_open(path: str, **options: Any) -> Any:  # Rust opens it, unseen by the hook
            _refuse("open", (path,))
            return opened(path, **options)

        state_file.safetensors.safe_open = safe_open  # type: ignore[misc]
    sys._hidden_folder = folder  # type: ignore[attr-defined]


def _refuse(event: str, arguments: Any) -> None:
    hidden = getattr(sys, "_hidden_folder", "")
    if event == "open" and hidden and str(arguments[0]).startswith(hidden):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


@pytest.fixture
def elsewhere(processes_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of worker processes that do not see `tmp_path`; each window ends at a restart point."""
    monkeypatch.setattr(driver, "_RESTART_TASKS", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for runs without a folder
    processes_client.run(hide, str(tmp_path))
    yield processes_client
    processes_client.run(hide, "")


def trainer(client: Any, **settings: Any) -> Trainer:
    common: dict[str, Any] = {"batch": 24, "epochs": 3, "seed": 5, "evaluate_every": "7 steps"}
    return Trainer(MODEL, client=client, **{**common, **settings})


def bits(fitted: Trainer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in fitted.parameters_.items()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_end_with_the_bits_of_threads(elsewhere: Any, tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    expected = trainer(THREADED, layout=layout).fit(X, Y, validation=0.25)
    folder = tmp_path / "run"
    fitted = trainer(elsewhere, layout=layout, folder=folder).fit(X, Y, validation=0.25)
    assert bits(fitted) == bits(expected)
    assert fitted.evaluate(X, Y) == pytest.approx(expected.evaluate(X, Y))
    assert (folder / "checkpoints/final").is_dir() and not list(folder.rglob("restart-*"))


def test_states_and_rows_are_values_of_tasks(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the table above would not show that a restart point was reached."""
    sent: list[int] = []
    content = state_file.state_content

    def counted(spec: Any, state: Any) -> bytes:
        sent.append(state.step)
        return content(spec, state)

    monkeypatch.setattr("daskpar.train.run_files.state_content", counted)
    trainer(elsewhere).fit(X, Y)
    assert len(sent) > 2


def test_a_run_that_was_interrupted_is_resumed_from_the_clients_checkpoint(
    elsewhere: Any, tmp_path: Path
) -> None:
    class Stop(Callback):
        def after_evaluation(self, trainer: Any, record: Any) -> None:
            if record["step"] == 14:
                raise KeyboardInterrupt

    settings: dict[str, Any] = {"layout": Layout(data=2), "checkpoint_every": "7 steps"}
    expected = trainer(THREADED, **settings).fit(X, Y)
    settings["folder"] = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trainer(elsewhere, **settings, callbacks=[Stop()]).fit(X, Y)
    assert bits(trainer(elsewhere, **settings).fit(X, Y, resume=True)) == bits(expected)


def test_a_relative_folder(elsewhere: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fitted = trainer(elsewhere, folder="runs/mine").fit(X, Y)
    assert bits(fitted) == bits(trainer(THREADED).fit(X, Y))


def test_files_that_only_the_client_can_open(
    elsewhere: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    source = Npz(str(tmp_path / "data.npz"))
    expected = trainer(THREADED).fit(source, validation=0.25)
    with caplog.at_level("INFO", "daskpar"):
        fitted = trainer(elsewhere, transforms=[]).fit(source, validation=0.25)
    assert bits(fitted) == bits(expected)
    assert "train data: the workers cannot open Npz" in caplog.text
    assert fitted.evaluate(source) == pytest.approx(expected.evaluate(source))


@pytest.mark.parametrize(
    "settings",
    [
        {"cache": False},
        {"transforms": ["standardise"]},
        {"class_weight": "balanced"},
        {"layout": "auto"},
    ],
    ids=str,
)
def test_rows_are_sent_wherever_tasks_read_them(elsewhere: Any, settings: dict[str, Any]) -> None:
    fitted = trainer(elsewhere, **settings).fit(X, Y, sample_weight=np.linspace(0.5, 1, len(X)))
    if settings.get("layout") != "auto":
        expected = trainer(THREADED, **settings).fit(X, Y, sample_weight=np.linspace(0.5, 1, len(X)))
        assert bits(fitted) == bits(expected)


def test_a_lazy_prediction_has_the_state_with_it(elsewhere: Any, tmp_path: Path) -> None:
    da = pytest.importorskip("dask.array")
    fitted = trainer(elsewhere, folder=tmp_path / "run").fit(X, Y)
    lazily = fitted.predict(da.from_array(X, chunks=(48, 4, 2))).compute()
    np.testing.assert_array_equal(lazily, fitted.predict(X))


def test_dask_arrays_with_plain_ones(elsewhere: Any) -> None:
    da = pytest.importorskip("dask.array")
    x = da.from_array(X, chunks=(48, 4, 2))
    assert bits(trainer(elsewhere).fit(x, Y)) == bits(trainer(THREADED).fit(x, Y))


def test_too_many_rows_to_send(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_MOST_SENT", 1000)
    with pytest.raises(InputError, match=r"^train data: the workers .* too much to send .* storage"):
        trainer(elsewhere).fit(X, Y)


def test_a_worker_that_is_killed_costs_no_bit(elsewhere: Any) -> None:
    """The value of a restart point is part of the graph, so it outlives the worker that had it."""

    class Kill(Callback):
        def after_evaluation(self, trainer: Any, record: Any) -> None:
            if record["step"] == 14:
                pids = elsewhere.run(os.getpid)
                os.kill(next(iter(pids.values())), signal.SIGKILL)

    layout = Layout(data=2)
    expected = trainer(THREADED, layout=layout).fit(X, Y)
    assert bits(trainer(elsewhere, layout=layout, callbacks=[Kill()]).fit(X, Y)) == bits(expected)


def test_an_answer_of_the_workers(elsewhere: Any, tmp_path: Path) -> None:
    """The fixture hides what it says it hides."""
    from daskpar.cluster.executor import choose_executor

    executor = choose_executor(elsewhere, 1)
    assert "No such file or directory" in str(storage.why_not_shared(executor, tmp_path))
    executor.close()


def test_tasks_are_measured_on_workers_elsewhere(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of other machines measure with one row, since they cannot have the others."""
    monkeypatch.setattr(
        "daskpar.train.plan.Planner._network", lambda self: setattr(self, "one_machine", False)
    )
    monkeypatch.setattr("daskpar.train.plan.Planner.best", lambda self: measured(self))

    def measured(planner: Any) -> Layout:
        assert planner.data.part.sent and planner.costs(planner.spec(Layout(data=2)))
        return Layout(data=2)

    assert trainer(elsewhere, layout="auto").fit(X, Y).layout_ == Layout(data=2)
