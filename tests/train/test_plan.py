"""Planning on a cluster: what is measured, kept, chosen and refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array as da
import pytest

from daskpar import InputError, Layout, Trainer
from daskpar.autotune.simulate import Cost, Network
from daskpar.autotune.timing import measure_tasks
from daskpar.cluster.executor import THREADED, Executor, choose_executor
from daskpar.data import Digits, Split, hold
from daskpar.data.dask_arrays import from_dask
from daskpar.train import plan
from daskpar.train.fitting import FittedData
from daskpar.train.network import measure_network
from daskpar.train.scratch import Scratch, Storage
from daskpar.train.settings import Settings

MODEL = ["flatten", {"dense": 16}, "relu", {"dense": 10}]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """Tasks of known times instead of measured ones; the layouts for which they were asked for."""
    asked: list[str] = []

    def tasks(spec: Any, part: Split, workers: int, across_processes: bool) -> Any:
        layout = spec.layout
        asked.append(plan.format_layout(layout))
        passes = {(f"forward-{name}", part): Cost(1.0) for name in ("stage", "dense") for part in range(9)}
        whole = {("grad",): Cost(1.0 / layout.data, 1000), ("train-window",): Cost(16.0 / layout.data, 10**9)}
        return whole | passes

    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(plan, "measure_tasks", tasks)
    monkeypatch.setattr(plan, "measure_network", lambda *where: Network(0.01, 0.01, 0.001, cores=2))
    return asked


OPENED: list[Executor] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Executors are closed after a test: they limit this process's threads."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(client: Any, lanes: int) -> Executor:
    OPENED.append(choose_executor(client, lanes))
    return OPENED[-1]


def planner(client: Any, **options: Any) -> plan.Planner:
    settings = Settings(MODEL, batch=64, client=client)
    data = FittedData(Split(Digits()), (), ())
    executor = opened(client, 1)
    return plan.Planner(settings, data, client, executor, Storage(executor, Scratch()), **options)


def test_the_fastest_first_and_the_refused_last(measured: list[str], threads_client: Any) -> None:
    found = planner(threads_client).choices([Layout(data=2, lanes=(3, 1))])
    layouts = [choice.layout for choice in found]
    assert set(layouts[:2]) == {Layout(data=2), Layout(lanes=(3, 1))}
    assert layouts[-1] == Layout(tiles=2) and found[-1].prediction is None
    assert found[-1].why.startswith("layout.tiles=2: no layer of this model can be cut")
    seconds = [c.prediction.seconds for c in found if c.prediction]
    assert seconds == sorted(seconds)


def test_what_does_not_fit_comes_after_what_does(measured: list[str], threads_client: Any) -> None:
    found = planner(threads_client)
    found.memory = 10**8
    choices = found.choices()
    window = next(c for c in choices if c.layout == Layout(grain="window"))
    assert window.why == "does not fit: workers have 100 MB"
    assert choices.index(window) > choices.index(found.choice(Layout()))


def test_what_was_measured_is_not_measured_again(measured: list[str], threads_client: Any) -> None:
    planner(threads_client).choices()
    once = len(measured)
    planner(threads_client).choices()
    assert len(measured) == once
    planner(threads_client, fresh=True).choices()
    assert len(measured) == 2 * once


def test_left_to_choose_a_trainer_takes_the_best(measured: list[str], threads_client: Any) -> None:
    x, y = Digits().arrays()
    common: dict[str, Any] = dict(batch=64, epochs=1, client=threads_client)
    trainer = Trainer(MODEL, layout="auto", **common).fit(x, y, validation=0.1)
    assert trainer.layout_ == Layout(data=2)
    expected = Trainer(MODEL, layout=Layout(data=2), **common).fit(x, y, validation=0.1)
    assert trainer.parameters_sha256_ == expected.parameters_sha256_
    with pytest.raises(InputError, match="layout='quick': expected a Layout"):
        Trainer(MODEL, layout="quick")


def test_a_run_for_a_while_leaves_the_trainer_alone(tmp_path: Any) -> None:
    trainer = Trainer(MODEL, batch=64, epochs=3, client=THREADED, folder=tmp_path)
    assert plan.run_for_a_while(trainer.settings, Split(Digits()), Layout(data=2), 4) > 0
    assert (trainer.layout, trainer.epochs, trainer.steps, list(tmp_path.iterdir())) == (None, 3, None, [])


def test_tasks_are_measured_on_dask_arrays_too() -> None:
    x, y = (da.from_array(values[:96], 20) for values in Digits().arrays())
    weights = da.ones(96, chunks=9)
    spec = Trainer(MODEL, batch=48, client=THREADED).fit(x, y, sample_weight=weights).spec_
    costs = measure_tasks(spec, Split(from_dask(x, y, hold, "train", weights), shuffled=False), 1, False)
    assert ("grad",) in costs and all(cost.seconds > 0 for cost in costs.values())


def test_a_cluster_is_measured_by_trainings(threads_client: Any) -> None:
    executor = opened(threads_client, 2)
    found = measure_network(executor, Storage(executor, Scratch()), 2, True)
    assert 0 <= found.hop < 0.1 and 0 < found.scheduler < 0.1 and found.bandwidth == float("inf")
    assert 1 <= found.cores <= 2
