"""The start of a run: lanes sized by speed, kernels warmed up, data submitted once."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from daskpar import Layout, Trainer, tasks
from daskpar.data import Digits, Split
from daskpar.data.dask_arrays import DaskArrays
from daskpar.train import launch
from daskpar.train.driver import Milestone
from daskpar.train.fitting import FittedData
from daskpar.train.problem import Problem, pose

MODEL = ["flatten", {"dense": 8}, {"dense": 10}]


class Executor:
    """Notes what it is asked for."""

    in_process = True

    def __init__(self, module: str = "numpy", seconds: Any = ()):
        self.module, self.seconds = module, seconds
        self.asked: list[Any] = []
        self.submitted: list[Any] = []
        self.called: list[Any] = []

    def on_each(self, function: Any, *arguments: Any) -> Any:
        self.asked.append(arguments)
        return self.seconds

    def everywhere(self, function: Any, *arguments: Any) -> None:
        self.called.append(function)

    def submit(self, graph: Any, keys: Any, lanes: int, done: Any = None) -> None:
        self.submitted.append((graph, list(keys), lanes))


def posed(layout: Layout, validation: Split | None = None, **options: Any) -> Problem:
    settings = Trainer(MODEL, layout=layout, **{"batch": 64, **options}).settings
    return pose(settings, FittedData(Split(Digits()), (), ()), validation)


def test_lanes_are_sized_by_the_speed_of_their_workers() -> None:
    """The second worker takes three times as long for the forward and backward passes."""
    problem = posed(Layout(lanes="auto", data=2))
    executor = Executor(seconds=[[0.1, 0.2], [0.3, 0.6]])
    found = launch.with_measured_lanes(problem, executor)  # type: ignore[arg-type]
    assert found.layout == Layout(lanes=(3.0, 1.0)) and found.spec.layout == found.settings.layout
    ((spec, operations, rows),) = executor.asked
    assert (spec.module, rows, len(operations)) == ("numpy", 32, 3)


def test_lanes_that_are_given_are_not_measured() -> None:
    executor = Executor()
    problem = posed(Layout(data=2))
    assert launch.with_measured_lanes(problem, executor) is problem and not executor.asked  # type: ignore[arg-type]


@pytest.mark.parametrize("module, warmed", [("numpy", True), ("cupy", False), ("here", False)])
def test_kernels_are_warmed_up_where_the_host_computes(
    module: str, warmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[Any] = []
    monkeypatch.setattr(tasks, "warm_up", lambda *arguments: here.append(arguments))
    executor = Executor(module)
    launch.warm_up(posed(Layout()), executor)  # type: ignore[arg-type]
    assert (len(here), len(executor.called)) == (int(warmed), int(warmed))


def test_the_blocks_of_dask_arrays_are_not_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "warm_up", lambda *arguments: pytest.fail("a block was read"))
    x = da.from_array(np.zeros((64, 8, 8, 1), "float32"), 32)
    source = DaskArrays(x, da.from_array(np.arange(64) % 10, 32))
    settings = Trainer(MODEL, batch=64).settings
    launch.warm_up(pose(settings, FittedData(Split(source), (), ()), None), Executor())  # type: ignore[arg-type]


def driver(problem: Problem, executor: Executor) -> Any:
    cut = Milestone(1, True, False, restart_point=False)
    return launch.make_driver(problem, executor, "0a", lambda step: cut, lambda step: 0.1)  # type: ignore[arg-type]


def test_data_are_submitted_once_and_held() -> None:
    executor = Executor()
    driver(posed(Layout(data=2), Split(Digits(), name="test"), chunk_rows=900), executor)
    ((graph, keys, slots),) = executor.submitted
    names = sorted({key[0] for key in keys})
    assert names == ["load-data-0a", "load-model-0a"] and slots == 2
    assert set(keys) == set(graph.flat())


def test_without_a_cache_only_the_model_is_held() -> None:
    executor = Executor()
    driver(posed(Layout(), cache=False), executor)
    ((graph, keys, _),) = executor.submitted
    assert keys == [("load-model-0a",)] and len(graph.flat()) > 1
