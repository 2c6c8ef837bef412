"""One Trainer in several threads at once, as in a web server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Callback, Ensemble, InputError, Trainer
from daskpar.backend import blas
from daskpar.backend.atomic import atomic_write
from daskpar.cluster.executor import THREADED

X = np.random.default_rng(0).standard_normal((1600, 20)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def part(i: int) -> tuple[np.ndarray, np.ndarray]:
    return X[100 * i : 100 * i + 100], Y[100 * i : 100 * i + 100]


def lazily(trainer: Trainer, i: int) -> da.Array:
    return trainer.predict(da.from_array(part(i)[0], chunks=(50, 20)))


WORK: dict[str, Callable[[Trainer, int], Any]] = {
    "predict": lambda t, i: t.predict(part(i)[0]).tolist(),
    "lazy predict": lambda t, i: lazily(t, i).compute(scheduler="threads").tolist(),
    "evaluate": lambda t, i: t.evaluate(*part(i)),
    "evaluate dask": lambda t, i: t.evaluate(da.from_array(part(i)[0], chunks=(50, 20)), part(i)[1]),
    "evaluate and predict": lambda t, i: t.evaluate(*part(i)) if i % 2 else t.predict(part(i)[0]).tolist(),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize("make", [Trainer, Ensemble])
def test_each_thread_gets_its_own_result(make: Any, work: Callable[[Trainer, int], Any]) -> None:
    trainer = make([{"dense": 16}, "relu", {"dense": 2}], batch=400, client=THREADED).fit(X, Y)
    wanted = [work(trainer, i) for i in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda i: work(trainer, i), range(16))) == wanted


def test_worker_processes_too(processes_client: Any) -> None:
    trainer = Trainer([{"dense": 2}], batch=400, client=processes_client).fit(X, Y)
    wanted = [trainer.evaluate(*part(i)) for i in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda i: trainer.evaluate(*part(i)), range(4))) == wanted


def test_different_trainers_at_once_give_the_same_bits() -> None:
    def train(seed: int) -> str:
        return (
            Trainer([{"dense": 16}, "relu", {"dense": 2}], batch=100, seed=seed, client=THREADED)
            .fit(X, Y)
            .parameters_sha256_
        )

    wanted = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(train, range(4))) == wanted


class Meanwhile(Callback):
    """Does something in another thread at the first evaluation."""

    def __init__(self, work: Callable[[Trainer], Any]):
        self.work, self.gave = work, []

    def after_evaluation(self, trainer: Trainer, record: Any) -> None:
        def run() -> None:
            try:
                self.gave.append(self.work(trainer))
            except InputError as error:
                self.gave.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()


@pytest.mark.parametrize("make", [Trainer, Ensemble])
def test_two_trainings_of_one_trainer_are_refused(make: Any) -> None:
    refused: list[str] = []
    trainer = make([{"dense": 2}], batch=400, client=THREADED)

    class Second(Callback):
        def __deepcopy__(self, memo: Any) -> Any:
            return self

        def after_evaluation(self, inner: Trainer, record: Any) -> None:
            with pytest.raises(InputError) as error:
                trainer.fit(X, Y)
            refused.append(str(error.value))

    trainer.callbacks = [Second()]
    trainer.fit(X, Y)
    assert refused and all(line.startswith("this Trainer is training already") for line in refused)
    trainer.callbacks = []
    trainer.fit(X, Y)  # and is not any more


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda t: t.predict(X).tolist(), id="predict"),
        pytest.param(lambda t: t.evaluate(X, Y), id="evaluate"),
        pytest.param(lambda t: t.predict(da.from_array(X)).compute().tolist(), id="lazy predict"),
    ],
)
def test_during_a_training_the_model_of_before_is_used(work: Callable[[Trainer], Any]) -> None:
    trainer = Trainer([{"dense": 2}], batch=400, transforms=["standardise"], client=THREADED).fit(X, Y)
    wanted, meanwhile = work(trainer), Meanwhile(work)
    trainer.callbacks = [meanwhile]
    trainer.fit(X * 9 - 4, Y)
    assert meanwhile.gave == [wanted]
    assert work(trainer) != wanted


def test_a_training_that_fails_leaves_the_model_of_before() -> None:
    trainer = Trainer([{"dense": 2}], batch=400, transforms=["standardise"], client=THREADED).fit(X, Y)
    wanted = trainer.predict(X)

    class Fails(Callback):
        def after_evaluation(self, trainer: Trainer, record: Any) -> None:
            raise RuntimeError("no more")

    trainer.callbacks = [Fails()]
    with pytest.raises(RuntimeError, match="no more"):
        trainer.fit(X * 9 - 4, Y)
    np.testing.assert_array_equal(trainer.predict(X), wanted)


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: atomic_write(path, bytes([i]) * 100_000), range(64)))
    data = path.read_bytes()
    assert len(data) == 100_000 and len(set(data)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_limits_of_threads_may_close_in_any_order() -> None:
    before, in_force = blas.describe(), blas.threads_in_force()
    first, second, third = blas.limit_threads(1), blas.limit_threads(2), blas.limit_threads(1)
    first.__exit__(None, None, None)
    assert blas.threads_in_force() == 1
    third.__exit__(None, None, None)
    assert blas.threads_in_force() == 2
    second.__exit__(None, None, None)
    assert blas.threads_in_force() == in_force and blas.describe() == before
