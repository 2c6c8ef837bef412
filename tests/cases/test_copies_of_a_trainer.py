"""Copies of Trainers: pickled, deep, shallow; before, during and after a training."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import joblib
import numpy as np
import pytest
from rich.console import Console

from daskpar import Callback, EarlyStopping, Ensemble, Trainer, progress
from daskpar.cluster.executor import THREADED

X = np.random.default_rng(0).standard_normal((96, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def joblib_copy(value: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "cloudpickle": lambda value: pickle.loads(cloudpickle.dumps(value)),
    "joblib": joblib_copy,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
KINDS: dict[str, Callable[..., Trainer]] = {
    "trainer": lambda **options: Trainer([{"dense": 2}], batch=16, **options),
    "ensemble": lambda **options: Ensemble([{"dense": 2}], members=2, batch=16, **options),
    "profile": lambda **options: Trainer([{"dense": 2}], batch=16, profile=True, **options),
    "early stopping": lambda **options: Trainer(
        [{"dense": 2}], batch=16, callbacks=[EarlyStopping("train.loss")], **options
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_copies_predict_the_same_and_train_again(threads_client: Any, kind: Any, way: Any) -> None:
    trainer = way(kind(client=threads_client, warm_start=False)).fit(X, Y)
    other = way(trainer)
    np.testing.assert_array_equal(other.predict(X), trainer.predict(X))
    assert other.evaluate(X, Y) == trainer.evaluate(X, Y)
    other.fit(X, Y)
    np.testing.assert_array_equal(other.predict(X), trainer.predict(X))


@pytest.mark.parametrize("terminal", [True, False], ids=["bar", "lines"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_progress_travels(way: Any, terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    trainer = Trainer([{"dense": 2}], batch=16, callbacks=[progress(console)], client=THREADED).fit(X, Y)
    other = way(trainer)
    np.testing.assert_array_equal(other.predict(X), trainer.predict(X))
    other.fit(X, Y)


@pytest.mark.parametrize("terminal", [True, False], ids=["bar", "lines"])
@pytest.mark.parametrize("way", [name for name in WAYS if name != "copy"])
def test_progress_of_a_copy_prints_text_as_it_is(
    way: str, terminal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    trainer = Trainer([{"dense": 2}], callbacks=[progress(console)], client=THREADED)
    WAYS[way](trainer).callbacks[0].console.print("[bold]")
    assert capsys.readouterr().out == "[bold]\n"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_taken_during_a_training_is_that_of_before(way: Any) -> None:
    class Copy(Callback):
        copies: list[Trainer]

        def after_evaluation(self, trainer: Trainer, record: Any) -> None:
            trainer.callbacks, mine = [], trainer.callbacks
            self.copies.append(way(trainer))
            trainer.callbacks = mine

    copier = Copy()
    copier.copies = []
    trainer = Trainer([{"dense": 2}], batch=16, transforms=["standardise"], client=THREADED).fit(X, Y)
    wanted = trainer.predict(X)
    trainer.callbacks, trainer.epochs = [copier], 2
    trainer.fit(X * 5 + 3, Y)
    for other in copier.copies:
        np.testing.assert_array_equal(other.predict(X), wanted)
        other.fit(X, Y)


def test_the_client_stays_behind(threads_client: Any) -> None:
    for make in (KINDS["trainer"], KINDS["ensemble"]):
        other = pickle.loads(pickle.dumps(make(client=threads_client)))
        assert other.client is None
        assert pickle.loads(pickle.dumps(make(client=THREADED))).client == THREADED
    assert pickle.loads(pickle.dumps(KINDS["ensemble"](client=threads_client))).settings.client is None


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_folders_are_not_shared(tmp_path: Path, way: Any) -> None:
    trainer = Trainer([{"dense": 2}], batch=16, folder=tmp_path, client=THREADED).fit(X, Y)
    folder = trainer._scratch()
    other = way(trainer)
    assert other._scratch() != folder
    wanted = trainer.evaluate(X, Y)
    del trainer
    gc.collect()
    assert other._scratch().is_dir() and not folder.exists()
    assert other.evaluate(X, Y) == wanted


def test_a_file_that_another_run_has_written_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    first = Trainer([{"dense": 2}], batch=16, folder=tmp_path, client=THREADED).fit(X, Y)
    wanted = first.evaluate(X, Y)
    Trainer([{"dense": 2}], batch=16, folder=tmp_path, epochs=9, client=THREADED).fit(X, 1 - Y)
    assert first.evaluate(X, Y) == wanted


def test_predictions_of_blocks_on_worker_processes(processes_client: Any) -> None:
    trainer = Trainer([{"dense": 2}], batch=16, client=processes_client).fit(X, Y)
    blocks = da.from_array(X, chunks=(32, 4)).map_blocks(trainer.predict, dtype=np.float32, chunks=(32, 2))
    np.testing.assert_allclose(blocks.compute(), trainer.predict(X), atol=1e-6)
