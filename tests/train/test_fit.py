"""One training from the arguments of `fit` to a Result: one executor, the data prepared once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskpar import Callback, InputError, Layout, Trainer
from daskpar.cluster.executor import THREADED, ThreadedExecutor
from daskpar.train import fit, session
from daskpar.train.fit import FitArguments, train
from daskpar.train.run import Run
from daskpar.train.scratch import Scratch
from daskpar.train.trace import Trace

X = np.random.default_rng(0).standard_normal((60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
MODEL = [{"dense": 4}, "tanh", {"dense": 2}]


class Noted(ThreadedExecutor):
    """An executor that notes whether it was closed."""

    opened: list[Noted]

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.closed = False
        self.opened.append(self)

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """The executors that a training opens."""
    Noted.opened = []
    monkeypatch.setattr(session, "choose_executor", lambda client, *rest: Noted(*rest))
    return Noted.opened


def fitted(arguments: FitArguments, begun: Any = lambda run: None, **options: Any) -> Any:
    settings = Trainer(MODEL, **{"batch": 20, "epochs": 2, "client": THREADED, **options}).settings
    return train(settings, arguments, Scratch(), None, begun)


def test_a_training_opens_one_executor_and_closes_it(opened: list[Noted]) -> None:
    result = fitted(FitArguments(X, Y, validation=0.2))
    assert [executor.closed for executor in opened] == [True]
    assert (result.steps_run, len(result.history), result.trace) == (6, 2, None)  # 48 rows: 3 steps an epoch
    assert set(result.history[0]["validation"]) == {"loss"}


def test_the_run_is_seen_before_its_first_step() -> None:
    seen: list[tuple[int, int]] = []

    def begun(run: Run) -> None:
        seen.append((run.steps_run, run.steps_planned))
        assert run.state is None and run.history == []

    fitted(FitArguments(X, Y), begun)
    assert seen == [(0, 6)]


def test_an_executor_is_closed_whatever_happens(opened: list[Noted]) -> None:
    class Fails(Callback):
        def after_evaluation(self, run: Any, record: Any) -> None:
            raise RuntimeError("in a callback")

    with pytest.raises(RuntimeError, match="in a callback"):
        fitted(FitArguments(X, Y), callbacks=[Fails()])
    with pytest.raises(InputError, match="more than the"):
        fitted(FitArguments(X, Y), layout=Layout(shards=100))
    assert [executor.closed for executor in opened] == [True, True]


def test_weights_of_rows_reach_the_training() -> None:
    """Rows of weight 0 are as good as not there."""
    weights = np.repeat([1.0, 0.0], 30)
    spoilt = np.where(weights > 0, Y, 1 - Y)
    same = [fitted(FitArguments(X, y, sample_weight=weights)).state.params for y in (Y, spoilt)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], fitted(FitArguments(X, Y)).state.params)


def test_a_profile_is_of_this_training() -> None:
    result = fitted(FitArguments(X, Y), profile=True)
    assert isinstance(result.trace, Trace) and (result.trace.start, result.trace.stop) == (0, 6)
    assert {run.step for run in result.trace.ran if run.kind == "grad"} == set(range(6))


def test_a_checkpoint_goes_before_what_the_trainer_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(FitArguments(X, Y), epochs=3)
    fitted(FitArguments(X, Y), folder=tmp_path)
    earlier: Any = type("Earlier", (), {"origin": lambda *_: pytest.fail("a checkpoint is there")})()
    result = fitted(FitArguments(X, Y, resume=True, earlier=earlier), folder=tmp_path, epochs=3)
    assert (result.resumed_at, result.steps_run) == (6, 9)
    np.testing.assert_array_equal(result.state.params, whole.state.params)


def test_a_layout_is_chosen_on_the_data_that_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []

    def choose(settings: Any, data: Any, executor: Any, scratch: Any) -> Any:
        from dataclasses import replace

        chosen.append(data.part.rows if hasattr(data, "part") else data.split.rows)
        return replace(settings, layout=Layout(data=2))

    monkeypatch.setattr(fit, "choose_layout", choose)
    result = fitted(FitArguments(X, Y, validation=0.2), layout="auto", profile=True)
    assert chosen == [48] and result.layout == Layout(data=2)
    assert isinstance(result.trace, Trace)
